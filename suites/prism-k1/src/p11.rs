//! The packaged pattern format P11 ("PRSM" v1.1), written and checked: what the templates are.
//!
//! A header of 64 bytes, 16 of timing, JSON, a palette and frames of palette indices (specification,
//! section 6.1). A frame has 160 indices and goes to both lanes.

use crate::tlv::crc32;

/// Pixels of a frame: one lane's.
const FRAME_PIXELS: usize = 160;
/// Where the part begins that every version has behind its header (v1.0) or timing (v1.1).
const HEADER_BYTES: usize = 64;
const TIMING_BYTES: usize = 16;
/// 120 frames per second in 1/256.
const RATE: u32 = 120 * 256;
/// Flag of a frame whose segment is runs.
const RUN_LENGTHS: u8 = 0b10;

/// A file of the packaged format, version 1.1: pixels are indices into a palette (specification,
/// section 6.1).
///
/// `fps` is in 256ths. Each frame is its flags (1: XOR with the frame before, 2: run lengths) and
/// its segment.
pub fn packaged(fps: u32, palette: &[[u8; 3]], frames: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let meta = [1_u8, 0, 0, 0, 0, 0];
    let mut head = b"PRSM\x01\x01\xA0\x00".to_vec();
    head.extend((frames.len() as u32).to_le_bytes());
    head.extend(fps.to_le_bytes());
    head.extend([1, 0, 0, 0]);
    let crc = header_crc(&head, &meta);
    head.extend(crc.to_le_bytes());
    head.resize(64, 0);
    head.extend(meta);
    // The rest of the metadata, and no extra data.
    head.resize(82, 0);
    let mut payload = (palette.len() as u16).to_le_bytes().to_vec();
    payload.extend(palette.iter().flatten());
    for (flags, segment) in frames {
        payload.push(*flags);
        payload.extend((segment.len() as u16).to_le_bytes());
        payload.extend(segment);
    }
    let crc = crc32(&payload);
    head.extend(payload);
    head.extend(crc.to_le_bytes());
    head
}

/// A pattern of one frame in which every pixel has this colour (red, green, blue).
pub fn solid(colour: [u8; 3]) -> Vec<u8> {
    // Runs are at most 127 long: 127 and 33 pixels of index 0.
    let segment = vec![0x80 | 127, 0, 0x80 | (FRAME_PIXELS - 127) as u8, 0];
    packaged(RATE, &[colour], &[(RUN_LENGTHS, segment)])
}

/// Over bytes 0 to 19 and 64 to 69 (specification, section 11, reading 26).
fn header_crc(header: &[u8], timing: &[u8]) -> u32 {
    crc32(&[&header[..20], &timing[..6]].concat())
}

/// Takes fields from the front of a file.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn bytes(&mut self, count: usize) -> Result<&'a [u8], String> {
        let (bytes, rest) = self.0.split_at_checked(count).ok_or("it is truncated")?;
        self.0 = rest;
        Ok(bytes)
    }
    fn u8(&mut self) -> Result<u8, String> {
        Ok(self.bytes(1)?[0])
    }
    fn u16(&mut self) -> Result<u16, String> {
        Ok(u16::from(self.u8()?) | u16::from(self.u8()?) << 8)
    }
    fn u32(&mut self) -> Result<u32, String> {
        Ok(u32::from(self.u16()?) | u32::from(self.u16()?) << 16)
    }
}

/// Whether `file` is a whole P11 file: magic, sizes and both checksums.
///
/// # Errors
/// What is wrong with it.
pub fn check(file: &[u8]) -> Result<(), String> {
    let mut fields = Fields(file);
    if fields.bytes(4)? != b"PRSM" {
        return Err("it does not begin with PRSM".to_owned());
    }
    let version = fields.u16()?;
    if version != 0x0101 {
        return Err(format!("its version is {version:#06x}, not 0x0101"));
    }
    let pixels = fields.u16()?;
    if usize::from(pixels) != FRAME_PIXELS {
        return Err(format!("it is for {pixels} pixels"));
    }
    let frames = fields.u32()?;
    let (_rate, _format) = (fields.u32()?, fields.u32()?);
    let stored = fields.u32()?;
    fields.bytes(HEADER_BYTES - 24)?;
    let timing = fields.bytes(TIMING_BYTES)?;
    if header_crc(file, timing) != stored {
        return Err("the CRC of its header is wrong".to_owned());
    }
    let json = fields.u16()?;
    fields.bytes(json.into())?;
    let payload = fields.0;
    let colours = fields.u16()?;
    if !(1..=64).contains(&colours) {
        return Err(format!("its palette has {colours} colours"));
    }
    fields.bytes(usize::from(colours) * 3)?;
    if frames == 0 {
        return Err("it has no frame".to_owned());
    }
    for _ in 0..frames {
        fields.u8()?;
        let length = fields.u16()?;
        fields.bytes(length.into())?;
    }
    let payload = &payload[..payload.len() - fields.0.len()];
    if crc32(payload) != fields.u32()? {
        return Err("the CRC of its frames is wrong".to_owned());
    }
    if fields.0.is_empty() { Ok(()) } else { Err(format!("{} bytes follow its end", fields.0.len())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors of the specification, section 6.1.
    #[test]
    fn the_specification_s_vectors_are_whole() {
        let run = |index| vec![0xFF, index, 0xA1, index];
        let red = packaged(RATE, &[[255, 0, 0]], &[(2, run(0))]);
        let red_and_blue = packaged(RATE / 2, &[[255, 0, 0], [0, 0, 255]], &[(2, run(0)), (3, run(1))]);
        assert_eq!((check(&red), check(&red_and_blue)), (Ok(()), Ok(())));
        assert_eq!((crc32(&red), crc32(&red_and_blue)), (0xD244_8183, 0x7AD4_59E1));
        assert_eq!(solid([255, 0, 0]), red);
    }

    #[test]
    fn every_flipped_bit_is_found_but_in_the_padding_and_the_rest_of_the_timing() {
        let file = solid([1, 2, 3]);
        let uncovered = |at: usize| (24..64).contains(&at) || (70..80).contains(&at);
        for at in 0..file.len() {
            let mut broken = file.clone();
            broken[at] ^= 1;
            assert_eq!(check(&broken).is_ok(), uncovered(at), "byte {at}");
        }
        for length in 0..file.len() {
            assert!(check(&file[..length]).is_err());
        }
    }
}
