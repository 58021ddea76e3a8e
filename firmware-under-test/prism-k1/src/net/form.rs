//! Forms as browsers send them: `application/x-www-form-urlencoded` (URL Standard, section 5.1).
//! Pure functions.

use core::fmt;

use crate::defect::{self, Defect};
use crate::settings::{Credentials, PASSWORD_MAX, SSID_MAX};

/// Why a form is refused, in words for people.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FormError {
    /// No network is named.
    NoName,
    /// A field is there twice.
    Twice,
    /// `%` without two hexadecimal digits, or bytes that are not UTF-8.
    Garbled,
    /// The name of the network is too long.
    LongName,
    /// The password is too long.
    LongPassword,
}

impl fmt::Display for FormError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoName => f.write_str("The form names no network."),
            Self::Twice => f.write_str("The form has a field twice."),
            Self::Garbled => f.write_str("The form is not encoded as it should be."),
            Self::LongName => write!(f, "The network's name is longer than {SSID_MAX} bytes."),
            Self::LongPassword => write!(f, "The password is longer than {PASSWORD_MAX} bytes."),
        }
    }
}

impl core::error::Error for FormError {}

/// Reads the portal's form: `ssid`, and `pass`, which may be missing for an open network. Other
/// fields are ignored.
///
/// # Errors
///
/// [`FormError`] for the first thing that is wrong.
pub fn credentials(body: &[u8]) -> Result<Credentials, FormError> {
    let (mut ssid, mut password) = (None, None);
    for field in body.split(|byte| *byte == b'&') {
        let split = field.iter().position(|byte| *byte == b'=').unwrap_or(field.len());
        let (name, value) = field.split_at(split);
        let value = value.get(1..).unwrap_or_default();
        let place = match name {
            b"ssid" => &mut ssid,
            b"pass" => &mut password,
            _ => continue,
        };
        if place.replace(value).is_some() {
            return Err(FormError::Twice);
        }
    }
    let ssid = decoded(ssid.unwrap_or_default(), FormError::LongName)?;
    if ssid.is_empty() {
        return Err(FormError::NoName);
    }
    let password = decoded(password.unwrap_or_default(), FormError::LongPassword)?;
    Ok(Credentials { ssid, password })
}

/// The text behind a field's value; `too_long` if it has more than `N` bytes.
fn decoded<const N: usize>(value: &[u8], too_long: FormError) -> Result<heapless::String<N>, FormError> {
    let mut bytes = heapless::Vec::<u8, N>::new();
    let mut rest = value.iter();
    while let Some(byte) = rest.next() {
        let byte = match byte {
            b'+' => b' ',
            b'%' if !defect::present(Defect::PercentUndecoded) => {
                let mut digit = || rest.next().and_then(|digit| char::from(*digit).to_digit(16));
                let (high, low) = digit().zip(digit()).ok_or(FormError::Garbled)?;
                (high << 4 | low) as u8
            }
            byte => *byte,
        };
        if bytes.push(byte).is_err() {
            if defect::present(Defect::FormCut) {
                break;
            }
            return Err(too_long);
        }
    }
    heapless::String::from_utf8(bytes).map_err(|_| FormError::Garbled)
}

#[cfg(test)]
mod tests {
    use std::string::String;

    use super::*;

    fn read(body: &str) -> Result<(String, String), FormError> {
        let Credentials { ssid, password } = credentials(body.as_bytes())?;
        Ok((ssid.as_str().into(), password.as_str().into()))
    }

    #[test]
    fn forms_are_read() {
        for (body, ssid, password) in [
            ("ssid=home&pass=secret", "home", "secret"),
            ("pass=secret&ssid=home", "home", "secret"),
            ("ssid=home", "home", ""),
            ("ssid=home&pass=", "home", ""),
            ("ssid=my+home&pass=a%2Bb%26c%3Dd%25", "my home", "a+b&c=d%"),
            ("ssid=caf%c3%A9&pass=p=q", "caf\u{e9}", "p=q"),
            ("button=save&ssid=home&&x&=y", "home", ""),
        ] {
            assert_eq!(read(body), Ok((ssid.into(), password.into())), "{body}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (body, error) in [
            ("", FormError::NoName),
            ("pass=secret", FormError::NoName),
            ("ssid=&pass=secret", FormError::NoName),
            ("SSID=home", FormError::NoName),
            ("ssid=a&ssid=b", FormError::Twice),
            ("ssid=a%", FormError::Garbled),
            ("ssid=a%4", FormError::Garbled),
            ("ssid=a%4g", FormError::Garbled),
            ("ssid=%ff", FormError::Garbled),
        ] {
            assert_eq!(read(body), Err(error), "{body}");
        }
    }

    #[test]
    fn the_limits_count_decoded_bytes() {
        let form = |ssid: usize, pass: usize| {
            std::format!("ssid={}&pass={}", "%41".repeat(ssid), "%42".repeat(pass))
        };
        assert!(read(&form(SSID_MAX, PASSWORD_MAX)).is_ok());
        assert_eq!(read(&form(SSID_MAX + 1, 0)), Err(FormError::LongName));
        assert_eq!(read(&form(1, PASSWORD_MAX + 1)), Err(FormError::LongPassword));
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let mut state = 0x1234_5678u32;
        let mut bytes = std::vec::Vec::new();
        for _ in 0..20_000 {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            let alphabet = b"sidpa=&%+4f\xff";
            bytes.push(alphabet[state as usize % alphabet.len()]);
            if bytes.len() > 40 {
                bytes.clear();
            }
            let _ = credentials(&bytes);
        }
    }
}
