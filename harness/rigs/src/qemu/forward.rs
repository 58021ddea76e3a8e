//! Ports of the host's loopback interface that lead to a device in the host's time.
//!
//! A port is kept from the moment at which it is chosen, over power cuts, to the end of the rig: a socket
//! that is bound to it and does not listen. Linux lets a second socket have the port as long as both say that
//! they share (`SO_REUSEADDR`) and at most one listens, and QEMU's user network says so. Nobody is given it
//! unasked meanwhile, neither another rig nor a program that connects to somewhere.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::OwnedFd;

use rigor_core::verdict::RigError;
use rustix::io::Errno;
use rustix::net::sockopt::set_socket_reuseaddr;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, getsockname, socket_with};

use super::error::QemuError;
use crate::file::RigFile;

/// A port of the host's loopback interface that leads to one of the device's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Forward {
    /// On `127.0.0.1`.
    pub(crate) host: u16,
    /// On the device.
    pub(crate) device: u16,
}

impl Forward {
    /// Where programs on the host reach it.
    pub(crate) fn address(self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.host).into()
    }
}

/// The way to a service of the device, kept for it.
#[derive(Debug)]
pub(super) struct Way {
    /// The service's name in the rig file.
    pub(super) service: String,
    pub(super) forward: Forward,
    _kept: OwnedFd,
}

impl Way {
    /// To port `device`, from port `host` or any that is free.
    ///
    /// # Errors
    /// [`QemuError::Host`] if somebody listens on it, or if the host has none left.
    pub(super) fn to(service: &str, device: u16, host: Option<u16>) -> Result<Self, QemuError> {
        let kept = keep(host.unwrap_or(0));
        let (kept, port) = kept.map_err(|error| match (host, error) {
            (Some(_), Errno::ADDRINUSE) => QemuError::Host {
                what: "a port of the loopback interface that another program listens on",
                why: format!("port {} for service `{service}`: {error}", host.unwrap_or_default()),
                remedy: "end that program, or name another port (`forward` in the rig file, `--port` of `rigor simulate`)",
            },
            _ => QemuError::Host {
                what: "a port of the loopback interface",
                why: error.to_string(),
                remedy: "name a free one above 1023 (`forward` in the rig file, `--port` of `rigor simulate`)",
            },
        })?;
        Ok(Way { service: service.to_owned(), forward: Forward { host: port, device }, _kept: kept })
    }
}

/// A socket that is bound to `port` and does not listen, and the number that it has got.
fn keep(port: u16) -> Result<(OwnedFd, u16), Errno> {
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    set_socket_reuseaddr(&socket, true)?;
    bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))?;
    let bound = SocketAddr::try_from(getsockname(&socket)?).map_or(port, |address| address.port());
    Ok((socket, bound))
}

/// The ways to the services of `file`.
pub(super) fn ways(file: &RigFile) -> Result<Vec<Way>, RigError> {
    let Some(net) = &file.net else { return Ok(Vec::new()) };
    let way = |(name, &port): (&String, &u16)| Ok(Way::to(name, port, net.forward.get(name).copied())?);
    net.ports.iter().map(way).collect()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn a_kept_port_is_for_who_asks_for_it_and_for_nobody_else() {
        let ways: Vec<Way> = (0..20).map(|_| Way::to("f", 80, None).expect("a free port")).collect();
        let mut ports: Vec<u16> = ways.iter().map(|way| way.forward.host).collect();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), ways.len(), "each has one of its own");
        // QEMU, which shares as the standard library does, listens on it; after it was killed, another one.
        for _ in 0..2 {
            TcpListener::bind(ways[0].forward.address()).expect("it is kept for it");
        }
    }

    #[test]
    fn a_port_that_somebody_listens_on_is_refused() {
        let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = other.local_addr().expect("its address").port();
        let told = Way::to("f", 80, Some(port)).expect_err("it is taken").to_string();
        assert!(
            told.contains(&format!("port {port} for service `f`")) && told.contains("`forward`"),
            "{told}"
        );
        drop(other);
        // A child that another test starts has a copy of every descriptor until it is another program.
        let until = Instant::now() + Duration::from_secs(60);
        let free = loop {
            match Way::to("f", 80, Some(port)) {
                Err(_) if Instant::now() < until => thread::sleep(Duration::from_millis(2)),
                free => break free,
            }
        };
        assert_eq!(free.expect("it is free again").forward.host, port);
    }
}
