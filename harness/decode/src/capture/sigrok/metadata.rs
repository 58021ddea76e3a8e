//! What a session says about its samples: an ini file.

use crate::capture::limits::{ReadError, excerpt};
use crate::capture::raw::{Layout, MAX_UNIT};
use crate::capture::samples::unit_of;
use crate::capture::{Capture, SampleRate};

/// A name must be one line, and an ini file strips blanks.
fn line(name: &str) -> String {
    let plain: String =
        name.trim().chars().map(|character| if character.is_control() { '_' } else { character }).collect();
    if plain.is_empty() { "_".to_owned() } else { plain }
}

pub(super) fn write(capture: &Capture, rate: SampleRate, unit: usize) -> String {
    let signals = capture.signals();
    // sigrok reads the version of itself that wrote a session, and takes any.
    let mut text = format!(
        "[global]\nsigrok version=0.5.2\n\n[device 1]\ncapturefile={}\ntotal probes={}\nsamplerate={rate}\n\
         total analog=0\n",
        super::SAMPLES,
        signals.len()
    );
    for (index, signal) in signals.iter().enumerate() {
        text += &format!("probe{}={}\n", index + 1, line(signal.name()));
    }
    text + &format!("unitsize={unit}\n")
}

/// What the first device with digital signals says.
pub(super) struct Metadata {
    /// The name of its samples, without a number.
    pub(super) samples: String,
    pub(super) layout: Layout,
}

/// What is known of a device so far.
#[derive(Default)]
struct Device {
    samples: Option<String>,
    rate: Option<SampleRate>,
    unit: Option<usize>,
    total: Option<usize>,
    /// Each with its number, from 1.
    probes: Vec<(usize, String)>,
}

fn refuse(line: usize, what: impl Into<String>) -> ReadError {
    ReadError::Line { line: line as u64, what: format!("`metadata`: {}", what.into()) }
}

/// A number of something that a sample can have.
fn number(line: usize, key: &str, value: &str, most: usize) -> Result<usize, ReadError> {
    value.parse().ok().filter(|number| (1..=most).contains(number)).ok_or_else(|| {
        refuse(line, format!("`{key}={}` is not a number from 1 to {most}", excerpt(value.as_bytes())))
    })
}

impl Metadata {
    pub(super) fn parse(text: &str) -> Result<Metadata, ReadError> {
        let mut device: Option<Device> = None;
        let mut last = 0;
        for (index, line) in text.lines().enumerate() {
            let (line, number) = (line.trim(), index + 1);
            last = number;
            if line.starts_with("[device") {
                if device.as_ref().is_some_and(|device| device.samples.is_some()) {
                    break;
                }
                device = Some(Device::default());
            } else if line.starts_with('[') {
                continue;
            } else if let (Some(device), Some((key, value))) = (&mut device, line.split_once('=')) {
                device.key(number, key.trim(), value.trim())?;
            }
        }
        let device = device.ok_or_else(|| refuse(last, "there is no `[device 1]`"))?;
        device.finish(last)
    }
}

impl Device {
    fn key(&mut self, line: usize, key: &str, value: &str) -> Result<(), ReadError> {
        match key {
            "capturefile" => self.samples = Some(value.to_owned()),
            "samplerate" => {
                let rate = value.parse().map_err(|error| refuse(line, format!("samplerate: {error}")))?;
                self.rate = Some(rate);
            }
            "unitsize" => self.unit = Some(number(line, key, value, MAX_UNIT)?),
            // A device with analogue channels only has none.
            "total probes" if value != "0" => {
                self.total = Some(number(line, key, value, MAX_UNIT * 8)?);
            }
            _ => {
                if let Some(probe) = key.strip_prefix("probe") {
                    let probe = number(line, "probe", probe, MAX_UNIT * 8)?;
                    if self.probes.len() == MAX_UNIT * 8 {
                        return Err(refuse(line, format!("more than {} probes", MAX_UNIT * 8)));
                    }
                    self.probes.push((probe, value.chars().take(256).collect()));
                }
            }
        }
        Ok(())
    }

    fn finish(self, last: usize) -> Result<Metadata, ReadError> {
        let missing = |key: &str| refuse(last, format!("the first device has no `{key}`"));
        let samples = self.samples.ok_or_else(|| missing("capturefile"))?;
        let rate = self.rate.ok_or_else(|| missing("samplerate"))?;
        let most = self.probes.iter().map(|(probe, _)| *probe).max().into_iter().chain(self.total).max();
        let unit = self.unit.unwrap_or_else(|| unit_of(most.unwrap_or(1)));
        let channels = self.probes.into_iter().map(|(probe, name)| (probe - 1, name));
        let layout = Layout::new(rate, unit, channels)
            .map_err(|error| refuse(last, format!("the first device: {error}")))?;
        Ok(Metadata { samples, layout })
    }
}
