//! What the controller does later by itself: waveforms, and edges of its loop-back pair.

use std::collections::VecDeque;

use rigor_controller::message::{Drive, Level, Refusal, Step, Waveform, Wire};

/// A waveform that has not come to its last step. Instants are nanoseconds.
struct Wave {
    wire: Wire,
    /// When its next step is due.
    at: u64,
    steps: VecDeque<Step>,
}

/// Edges that are still to come.
struct Loop {
    at: u64,
    spacing: u64,
    left: u16,
    level: Level,
}

/// What is due.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Due {
    /// A step of a waveform.
    Step {
        wire: Wire,
        drive: Drive,
    },
    Edge(Level),
}

#[derive(Default)]
pub(crate) struct Playing {
    waves: Vec<Wave>,
    looped: Option<Loop>,
}

impl Playing {
    /// Begins `waveform` at once if its time is past.
    ///
    /// # Errors
    /// If there is one on its wire already, or nothing to do.
    pub(crate) fn begin(&mut self, waveform: Waveform, now: u64) -> Result<(), Refusal> {
        let Waveform { wire, at, steps } = waveform;
        if steps.is_empty() {
            return Err(Refusal::OutOfRange);
        }
        if self.waves.iter().any(|wave| wave.wire == wire) {
            return Err(Refusal::Busy);
        }
        let at = at.map_or(now, |at| at.0.max(now));
        self.waves.push(Wave { wire, at, steps: steps.into_iter().collect() });
        Ok(())
    }

    /// Ends what is played on `wire`.
    pub(crate) fn end(&mut self, wire: Wire) {
        self.waves.retain(|wave| wave.wire != wire);
    }

    /// Sends `edges` over the loop-back pair, the first of them `spacing` from now.
    ///
    /// # Errors
    /// If there is nothing to do, or something is on its way.
    pub(crate) fn loop_back(&mut self, edges: u16, spacing: u32, now: u64) -> Result<(), Refusal> {
        if edges == 0 || spacing == 0 {
            return Err(Refusal::OutOfRange);
        }
        if self.looped.is_some() {
            return Err(Refusal::Busy);
        }
        let spacing = u64::from(spacing);
        self.looped = Some(Loop { at: now + spacing, spacing, left: edges, level: Level::High });
        Ok(())
    }

    /// When the next thing is due.
    pub(crate) fn next(&self) -> Option<u64> {
        self.waves.iter().map(|wave| wave.at).chain(self.looped.iter().map(|looped| looped.at)).min()
    }

    /// The next thing that is due at `now`, in the order of time.
    pub(crate) fn due(&mut self, now: u64) -> Option<Due> {
        let next = self.next().filter(|&next| next <= now)?;
        if let Some(looped) = self.looped.as_mut().filter(|looped| looped.at == next) {
            let level = looped.level;
            looped.level = if level == Level::High { Level::Low } else { Level::High };
            looped.at += looped.spacing;
            looped.left -= 1;
            if looped.left == 0 {
                self.looped = None;
            }
            return Some(Due::Edge(level));
        }
        let index = self.waves.iter().position(|wave| wave.at == next)?;
        let wave = &mut self.waves[index];
        let (wire, step) = (wave.wire, wave.steps.pop_front()?);
        wave.at += u64::from(step.ticks);
        if wave.steps.is_empty() {
            self.waves.remove(index);
        }
        Some(Due::Step { wire, drive: step.drive })
    }
}

#[cfg(test)]
mod tests {
    use rigor_controller::Ticks;

    use super::*;

    fn wave(wire: Wire, at: Option<u64>, steps: &[(Drive, u32)]) -> Waveform {
        let steps = steps.iter().map(|&(drive, ticks)| Step { drive, ticks }).collect();
        Waveform { wire, at: at.map(Ticks), steps }
    }

    /// What is due until nothing is, with when.
    fn all(playing: &mut Playing) -> Vec<(u64, Due)> {
        let mut all = Vec::new();
        while let Some(next) = playing.next() {
            assert_eq!(next.checked_sub(1).and_then(|before| playing.due(before)), None);
            all.extend(playing.due(next).map(|due| (next, due)));
        }
        all
    }

    #[test]
    fn steps_come_when_they_are_due() {
        let mut playing = Playing::default();
        let steps = [(Drive::Low, 10), (Drive::Release, 5), (Drive::Low, 0)];
        playing.begin(wave(Wire::Line(1), Some(3), &steps), 7).expect("it begins");
        playing.begin(wave(Wire::Reset, Some(9), &steps[..1]), 7).expect("it begins");
        assert_eq!(playing.begin(wave(Wire::Reset, None, &steps), 7), Err(Refusal::Busy));
        assert_eq!(playing.begin(wave(Wire::Boot, None, &[]), 7), Err(Refusal::OutOfRange));
        let step = |wire, drive| Due::Step { wire, drive };
        let expected = [
            (7, step(Wire::Line(1), Drive::Low)),
            (9, step(Wire::Reset, Drive::Low)),
            (17, step(Wire::Line(1), Drive::Release)),
            (22, step(Wire::Line(1), Drive::Low)),
        ];
        assert_eq!(all(&mut playing), expected);
    }

    #[test]
    fn edges_go_round_evenly() {
        let mut playing = Playing::default();
        assert_eq!(playing.loop_back(0, 5, 100), Err(Refusal::OutOfRange));
        assert_eq!(playing.loop_back(3, 0, 100), Err(Refusal::OutOfRange));
        playing.loop_back(3, 5, 100).expect("it begins");
        assert_eq!(playing.loop_back(3, 5, 100), Err(Refusal::Busy));
        let edge = Due::Edge;
        assert_eq!(
            all(&mut playing),
            [(105, edge(Level::High)), (110, edge(Level::Low)), (115, edge(Level::High))]
        );
    }

    #[test]
    fn who_drives_a_wire_ends_its_waveform() {
        let mut playing = Playing::default();
        playing.begin(wave(Wire::Line(1), None, &[(Drive::Low, 1)]), 0).expect("it begins");
        playing.end(Wire::Line(1));
        assert_eq!(playing.next(), None);
    }
}
