//! Chunks out of order and chunks sent twice: stored right or refused, never stored wrong.

use rigor_runner::need::{Console, Device, Net};
use rigor_runner::{Findings, Outcome, Suite};

use super::{Answered, Messages, NAME, Stored, and_changed, attempt, named, still_well};
use crate::kit::{self, Storage};
use crate::pattern;
use crate::rows::Rows;
use crate::tlv::{Profile, crc32};

pub(super) fn add_to(suite: &mut Suite, profile: Profile) {
    suite
        .case(named("chunks_out_of_order", profile), &["K1-UPL-008"], move |console, net, storage, device| {
            never_wrong(profile, "K1-UPL-008", out_of_order(), console, net, storage, device)
        })
        .case(named("chunks_twice", profile), &["K1-UPL-023"], move |console, net, storage, device| {
            never_wrong(profile, "K1-UPL-023", twice(), console, net, storage, device)
        });
}

/// An upload whose chunks come in an order of their own.
struct Order {
    what: &'static str,
    /// Offsets and lengths of the chunks, in the order of sending.
    chunks: Vec<(usize, usize)>,
    /// The chunks one after the other, as they came, are what size and CRC say: a device that
    /// overlooks the offsets would take it.
    as_it_came: bool,
}

impl Order {
    fn new(what: &'static str, chunks: &[(usize, usize)]) -> Self {
        Order { what, chunks: chunks.to_vec(), as_it_came: false }
    }

    fn as_it_came(what: &'static str, chunks: &[(usize, usize)]) -> Self {
        Order { as_it_came: true, ..Order::new(what, chunks) }
    }

    fn messages(&self, profile: Profile, file: &[u8]) -> Messages {
        let pieces = || self.chunks.iter().map(|&(offset, length)| (offset, &file[offset..][..length]));
        let came: Vec<u8> = pieces().flat_map(|(_, bytes)| bytes).copied().collect();
        let meant = if self.as_it_came { &came } else { file };
        let crc = crc32(meant);
        let mut messages = vec![profile.begin(NAME, meant.len() as u32, crc)];
        messages.extend(pieces().map(|(offset, bytes)| profile.data(offset as u32, bytes)));
        messages.push(profile.end(crc));
        messages
    }
}

/// Bytes of the uploaded file: four chunks of 1000.
const BYTES: usize = 4000;

fn out_of_order() -> Vec<Order> {
    let [a, b, c, d] = [(0, 1000), (1000, 1000), (2000, 1000), (3000, 1000)];
    vec![
        Order::new("two swapped", &[a, c, b, d]),
        Order::new("the last first", &[d, a, b, c]),
        Order::new("backwards", &[d, c, b, a]),
        Order::new("the odd ones, then the even ones", &[b, d, a, c]),
        Order::as_it_came("two swapped, CRC as it came", &[a, c, b, d]),
        Order::as_it_came("backwards, CRC as it came", &[d, c, b, a]),
    ]
}

fn twice() -> Vec<Order> {
    let [a, b, c, d] = [(0, 1000), (1000, 1000), (2000, 1000), (3000, 1000)];
    vec![
        Order::new("the first", &[a, a, b, c, d]),
        Order::new("one in the middle", &[a, b, b, c, d]),
        Order::new("the last", &[a, b, c, d, d]),
        Order::new("the first again at the end", &[a, b, c, d, a]),
        Order::new("all", &[a, b, c, d, a, b, c, d]),
        Order::new("half of one", &[a, b, (1500, 1000), (2500, 1500)]),
        Order::as_it_came("the first, size and CRC as it came", &[a, a, b, c, d]),
        Order::as_it_came("the last, size and CRC as it came", &[a, b, c, d, d]),
    ]
}

/// After each upload the storage holds the new version if the device said so, and the old one if
/// not.
async fn never_wrong(
    profile: Profile,
    id: &'static str,
    orders: Vec<Order>,
    mut console: Console,
    net: Net,
    storage: Storage,
    device: Device,
) -> Outcome {
    kit::settled(&mut console).await?;
    let begun = kit::upload_once(&net, profile, NAME, &pattern::file(1, BYTES)).await?.acknowledged;
    let mut before = Stored::read(&storage).await?;
    let mut rows = Rows::default();
    for (index, order) in orders.into_iter().enumerate() {
        let file = pattern::file(2 + index as u8 % 2, BYTES);
        let answered = attempt(&net, profile, &order.messages(profile, &file)).await?;
        let after = Stored::read(&storage).await?;
        let changes = after.changes(&before);
        let holds = match answered {
            Answered::Stored => {
                !order.as_it_came && after.pattern(profile, NAME) == file && changes.len() <= 1
            }
            Answered::Refused(_) => changes.is_empty(),
            Answered::Ignored => false,
        };
        let seen = if holds { answered.to_string() } else { format!("{answered}{}", and_changed(&changes)) };
        rows.note(holds, order.what, seen);
        before = after;
    }
    still_well(&net, &storage, &device, profile, begun).await?;
    let mut findings = Findings::new();
    rows.decide(id, &mut findings)?;
    Ok(findings)
}
