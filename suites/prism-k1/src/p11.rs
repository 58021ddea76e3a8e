//! The packaged pattern format P11 ("PRSM" v1.1), written and checked: what the templates are.
//!
//! A header of 64 bytes, 16 of timing, JSON, a palette and frames of palette indices (specification,
//! section 6.1). A frame has 160 indices and goes to both lanes.

use crate::tlv::crc32;

/// Pixels of a frame: one lane's.
pub const FRAME_PIXELS: usize = 160;
/// Where the part begins that every version has behind its header (v1.0) or timing (v1.1).
const HEADER_BYTES: usize = 64;
/// Bytes of the timing block, which begins at byte 64.
pub const TIMING_BYTES: usize = 16;
/// 120 frames per second in 256ths.
pub const RATE: u32 = 120 * 256;
/// Bit of a run's length byte.
const RUN: u8 = 0x80;
/// What the packer makes runs of.
const SHORTEST_RUN: usize = 4;
const LONGEST_RUN: usize = 127;

/// What a file of the packaged format is made of. [`File::new`] is a sound one; a case that wants
/// another changes a field, and the checksums follow.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct File {
    /// 0x0101.
    pub version: u16,
    /// Pixels of a frame as the header states them.
    pub pixels: u16,
    /// Frames as the header states them.
    pub count: u32,
    /// Frames in a second, in 256ths.
    pub rate: u32,
    /// Motion, sync and delays.
    pub timing: [u8; TIMING_BYTES],
    /// What stands between timing and palette.
    pub json: Vec<u8>,
    /// Red, green and blue of each colour.
    pub palette: Vec<[u8; 3]>,
    /// Of each frame its flags ([`DELTA`], [`RUNS`]) and its segment.
    pub frames: Vec<(u8, Vec<u8>)>,
}

/// Flag of a frame that is the XOR with the one before.
pub const DELTA: u8 = 0b01;
/// Flag of a frame whose segment is [run lengths](runs).
pub const RUNS: u8 = 0b10;

impl File {
    /// A sound file: version 1.1, no motion, both lanes alike, no JSON.
    pub fn new(rate: u32, palette: &[[u8; 3]], frames: &[(u8, Vec<u8>)]) -> File {
        let mut timing = [0; TIMING_BYTES];
        timing[0] = 1;
        File {
            version: 0x0101,
            pixels: FRAME_PIXELS as u16,
            count: frames.len() as u32,
            rate,
            timing,
            json: Vec::new(),
            palette: palette.to_vec(),
            frames: frames.to_vec(),
        }
    }

    /// The file.
    pub fn bytes(&self) -> Vec<u8> {
        let mut head = b"PRSM".to_vec();
        head.extend(self.version.to_le_bytes());
        head.extend(self.pixels.to_le_bytes());
        head.extend(self.count.to_le_bytes());
        head.extend(self.rate.to_le_bytes());
        head.extend([1, 0, 0, 0]);
        let crc = header_crc(&head, &self.timing);
        head.extend(crc.to_le_bytes());
        head.resize(HEADER_BYTES, 0);
        head.extend(self.timing);
        head.extend((self.json.len() as u16).to_le_bytes());
        head.extend(&self.json);
        let mut payload = (self.palette.len() as u16).to_le_bytes().to_vec();
        payload.extend(self.palette.iter().flatten());
        for (flags, segment) in &self.frames {
            payload.push(*flags);
            payload.extend((segment.len() as u16).to_le_bytes());
            payload.extend(segment);
        }
        let crc = crc32(&payload);
        head.extend(payload);
        head.extend(crc.to_le_bytes());
        head
    }
}

/// The bytes of a [file](File::new): `rate` in 256ths of a frame a second, each frame its flags and
/// its segment.
pub fn packaged(rate: u32, palette: &[[u8; 3]], frames: &[(u8, Vec<u8>)]) -> Vec<u8> {
    File::new(rate, palette, frames).bytes()
}

/// Indices as run lengths: runs of 4 to 127 equal ones, and single ones, which must be below 128.
pub fn runs(indices: &[u8]) -> Vec<u8> {
    let mut segment = Vec::new();
    for run in indices.chunk_by(|one, next| one == next).flat_map(|run| run.chunks(LONGEST_RUN)) {
        if run.len() >= SHORTEST_RUN {
            segment.extend([RUN | run.len() as u8, run[0]]);
        } else {
            segment.extend(run);
        }
    }
    segment
}

/// What makes a frame of the one before it.
pub fn difference(indices: &[u8], before: &[u8]) -> Vec<u8> {
    indices.iter().zip(before).map(|(now, before)| now ^ before).collect()
}

/// The colours of a frame on the strip, red, green, blue: the same 160 pixels on both lanes.
pub fn picture(palette: &[[u8; 3]], indices: &[u8]) -> Vec<u8> {
    indices.iter().flat_map(|&index| palette[usize::from(index)]).collect::<Vec<u8>>().repeat(2)
}

/// A pattern of one frame in which every pixel has this colour (red, green, blue).
pub fn solid(colour: [u8; 3]) -> Vec<u8> {
    packaged(RATE, &[colour], &[(RUNS, runs(&[0; FRAME_PIXELS]))])
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

/// What a file of the packaged format shows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Contents {
    /// Frames in a second, in 256ths, as the header states them.
    pub rate: u32,
    /// Colours of the palette.
    pub colours: usize,
    /// The strip's 960 bytes for each frame.
    pub pictures: Vec<Vec<u8>>,
}

/// Whether `file` is a whole P11 file: magic, sizes and both checksums.
///
/// # Errors
/// What is wrong with it.
pub fn check(file: &[u8]) -> Result<(), String> {
    read(file).map(|_| ())
}

/// What `file` shows, if it is a whole P11 file.
///
/// # Errors
/// What is wrong with it.
pub fn read(file: &[u8]) -> Result<Contents, String> {
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
    let (rate, _format) = (fields.u32()?, fields.u32()?);
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
    let palette = fields.bytes(usize::from(colours) * 3)?.as_chunks().0;
    if frames == 0 {
        return Err("it has no frame".to_owned());
    }
    let mut pictures = Vec::new();
    let mut before = None;
    for frame in 0..frames {
        let flags = fields.u8()?;
        let length = fields.u16()?;
        let indices = indices(flags, fields.bytes(length.into())?, before.as_deref(), palette.len())
            .map_err(|fault| format!("its frame {frame} {fault}"))?;
        pictures.push(picture(palette, &indices));
        before = Some(indices);
    }
    let payload = &payload[..payload.len() - fields.0.len()];
    if crc32(payload) != fields.u32()? {
        return Err("the CRC of its frames is wrong".to_owned());
    }
    if !fields.0.is_empty() {
        return Err(format!("{} bytes follow its end", fields.0.len()));
    }
    Ok(Contents { rate, colours: palette.len(), pictures })
}

/// The 160 indices of a frame: run lengths first, then the difference to the frame `before`.
fn indices(flags: u8, segment: &[u8], before: Option<&[u8]>, colours: usize) -> Result<Vec<u8>, String> {
    let mut plain = Vec::new();
    let mut rest = segment;
    while plain.len() < FRAME_PIXELS {
        match *rest {
            [run, value, ..] if flags & RUNS != 0 && run & RUN != 0 => {
                plain.resize(plain.len() + usize::from(run & !RUN), value);
                rest = &rest[2..];
            }
            [value, ..] if flags & RUNS == 0 || value & RUN == 0 => {
                plain.push(value);
                rest = &rest[1..];
            }
            _ => return Err(format!("ends after {} of {FRAME_PIXELS} pixels", plain.len())),
        }
    }
    plain.truncate(FRAME_PIXELS);
    let indices = match (flags & DELTA != 0, before) {
        (false, _) => plain,
        (true, Some(before)) => difference(&plain, before),
        (true, None) => return Err("is a difference to nothing".to_owned()),
    };
    match indices.iter().find(|&&index| usize::from(index) >= colours) {
        Some(index) => Err(format!("has colour {index} of {colours}")),
        None => Ok(indices),
    }
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
        let pictures = vec![[255, 0, 0].repeat(320), [0, 0, 255].repeat(320)];
        assert_eq!(read(&red_and_blue), Ok(Contents { rate: RATE / 2, colours: 2, pictures }));
    }

    #[test]
    fn frames_of_every_kind_are_read_back() {
        let palette: Vec<[u8; 3]> = (0..64).map(|index| [index, 2 * index, 255 - index]).collect();
        let plain: Vec<u8> = (0..160).map(|pixel| pixel / 5 % 64).collect();
        let mixed: Vec<u8> = (0..160).map(|pixel| if pixel < 131 { 7 } else { pixel % 64 }).collect();
        let frames = [
            (0, plain.clone()),
            (RUNS, runs(&mixed)),
            (DELTA, difference(&plain, &mixed)),
            (DELTA | RUNS, runs(&difference(&mixed, &plain))),
        ];
        let contents = read(&packaged(RATE, &palette, &frames)).expect("sound");
        let shown = [&plain, &mixed, &plain, &mixed].map(|indices| picture(&palette, indices));
        assert_eq!(contents.pictures, shown);
    }

    #[test]
    fn frames_that_no_device_may_play_are_told() {
        let with = |flags, segment: &[u8]| read(&packaged(RATE, &[[1; 3]], &[(flags, segment.to_vec())]));
        assert!(with(0, &[0; 160]).is_ok() && with(0, &[0; 161]).is_ok());
        assert_eq!(with(0, &[0; 159]), Err("its frame 0 ends after 159 of 160 pixels".to_owned()));
        assert_eq!(with(RUNS, &[0xFF, 0, 0xA1]), Err("its frame 0 ends after 127 of 160 pixels".to_owned()));
        assert_eq!(with(DELTA, &[0; 160]), Err("its frame 0 is a difference to nothing".to_owned()));
        assert_eq!(with(RUNS, &[0xFF, 0, 0xFF, 1]), Err("its frame 0 has colour 1 of 1".to_owned()));
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
