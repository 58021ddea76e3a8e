//! The playback task: a frame on both pins every 1/120 s.

use embassy_time::{Duration, Instant, TICK_HZ, Timer};
use firmware_platform::{BytesEncoder, Cpu, Pulse, PulseTransmitter};

use super::effects::Table;
use super::{Playback, TAG};
use crate::FPS;
use crate::cost;
use crate::defect::{self, Defect};
use crate::log::Log;
use crate::pattern::{FRAME_BYTES, LANE_BYTES};

const LED_TAG: &str = "led_driver";

/// The bits of the WS2812B's data sheet (specification section 7): 1.25 us each.
const WS2812B: BytesEncoder =
    BytesEncoder { zero: Pulse { high_ns: 400, low_ns: 850 }, one: Pulse { high_ns: 800, low_ns: 450 } };

/// The bytes of one frame as they leave on the two pins: green, red, blue.
struct Wire {
    /// Pixels 0..=159, on GPIO 9.
    first: [u8; LANE_BYTES],
    /// Pixels 160..=319, on GPIO 10.
    second: [u8; LANE_BYTES],
}

impl Wire {
    fn black() -> Self {
        Self { first: [0; LANE_BYTES], second: [0; LANE_BYTES] }
    }

    /// Takes the colours over as they are in `frame`.
    fn copy(&mut self, frame: &[u8; FRAME_BYTES]) {
        let (first, second) = frame.split_at(LANE_BYTES);
        self.first.copy_from_slice(first);
        self.second.copy_from_slice(second);
    }

    /// Makes the bytes that leave of copied colours.
    fn paint(&mut self, table: &[u8; 256]) {
        let lanes = self.first.as_chunks_mut::<3>().0.iter_mut().chain(self.second.as_chunks_mut::<3>().0);
        let red_first = defect::present(Defect::RedFirst);
        for colour in lanes {
            let [red, green, blue] = *colour;
            let order = if red_first { [red, green, blue] } else { [green, red, blue] };
            *colour = order.map(|value| table[usize::from(value)]);
        }
    }

    fn clear(&mut self) {
        self.first.fill(0);
        self.second.fill(0);
    }

    async fn send<L: PulseTransmitter<2>>(&self, leds: &mut L, tick: u64) {
        let (first, second) = (&self.first[..], &self.second[..]);
        if defect::present(Defect::LanesInTurn) {
            leds.transmit(&pulses(), [first, &[]]).await;
            leds.transmit(&pulses(), [&[], second]).await;
        } else if defect::present(Defect::FrameInHalves) {
            let ((first, rest), (second, end)) = (first.split_at(240), second.split_at(240));
            leds.transmit(&pulses(), [first, second]).await;
            Timer::after_micros(20).await;
            leds.transmit(&pulses(), [rest, end]).await;
        } else if defect::present(Defect::NoTimeToLatch) && tick.is_multiple_of(16) {
            leds.transmit(&pulses(), [first, second]).await;
            Timer::after_micros(25).await;
            leds.transmit(&pulses(), [first, second]).await;
        } else if defect::present(Defect::LastPixelLost) {
            leds.transmit(&pulses(), [&first[3..], &second[3..]]).await;
        } else {
            leds.transmit(&pulses(), [first, second]).await;
        }
    }
}

/// The pulses that leave.
fn pulses() -> BytesEncoder {
    let mut pulses = WS2812B;
    if defect::present(Defect::LongPulses) {
        (pulses.zero.high_ns, pulses.one.high_ns) = (600, 1000);
    }
    if defect::present(Defect::SlowBits) {
        (pulses.zero.low_ns, pulses.one.low_ns) = (1800, 1400);
    }
    pulses
}

/// Frames per second.
fn fps() -> u64 {
    if defect::present(Defect::HalfFrameRate) {
        return 60;
    }
    if defect::present(Defect::WholeMilliseconds) {
        return 125;
    }
    u64::from(FPS)
}

/// Frames of an hour.
const HOUR: u64 = FPS as u64 * 3600;

/// How long after the first frame frame `tick` is due. Rounded down each, so without drift.
fn after_start(tick: u64) -> Duration {
    let fps = fps();
    Duration::from_ticks(tick / fps * TICK_HZ + tick % fps * TICK_HZ / fps)
}

/// How late a frame may go out: 5 % of the period (seed section 9).
const TOLERANCE: Duration = Duration::from_micros(1_000_000 / (FPS as u64 * 20));

/// How many frames must be passed over when frame `tick` can only be sent at `now`, so that the one
/// after them is on time: none when it is itself, and else more than one when the overrun was longer
/// than a period.
fn missed(tick: u64, start: Instant, now: Instant) -> u64 {
    if now <= start + after_start(tick) + TOLERANCE {
        return 0;
    }
    let late = now.duration_since(start).as_ticks();
    // The last frame whose time has come.
    let due = late.saturating_mul(fps()) / TICK_HZ;
    (due + 1).saturating_sub(tick)
}

impl Playback {
    /// Paints what is due at `tick` and says how many cycles that took.
    fn paint(&self, tick: u64, deadline: Instant, table: &mut Table, wire: &mut Wire) -> u32 {
        let mut cycles = cost::RENDER_FRAME;
        // The colours are only copied here. Tables and painting take longer, and concern nobody else.
        let (effects, lit, hungry, starved) = self.0.state.with(|state| {
            let step = state.queue.step(tick);
            if let Some(frame) = step.frame {
                wire.copy(frame);
            }
            (state.effects, step.frame.is_some(), step.hungry, step.starved)
        });
        let (table, made) = table.of(effects.values(deadline.as_micros()));
        if made {
            cycles += cost::times(cost::LUT_PER_ENTRY, table.len());
        }
        if lit {
            cycles += cost::times(cost::RENDER_PER_BYTE, FRAME_BYTES);
            wire.paint(table);
        } else if !defect::present(Defect::StopKeepsPicture) {
            wire.clear();
        }
        if hungry {
            self.0.storage.wake();
        }
        if starved {
            self.0.log.warning(TAG, format_args!("Frame queue empty: frame repeated"));
        }
        cycles
    }

    /// What the task does for one frame, without its pins: the first byte shown, the frames left.
    #[cfg(test)]
    pub(crate) fn tick(&self, tick: u64) -> (u8, usize) {
        let mut wire = Wire::black();
        self.paint(tick, Instant::from_ticks(0), &mut Table::new(), &mut wire);
        (wire.first[1], self.0.state.with(|state| state.queue.len()))
    }

    fn note_sent(&self) {
        self.0.state.with(|state| state.frames_sent += 1);
    }

    fn note_dropped(&self, frames: u64) {
        let frames = u32::try_from(frames).unwrap_or(u32::MAX);
        self.0.state.with(|state| state.dropped = state.dropped.saturating_add(frames));
    }
}

/// The playback task's body: sends a frame on both pins every 1/120 s, for ever, black before
/// anything plays.
///
/// Frame n goes out at its own time, 1/120 s x n after the first, whatever happened before. It is
/// painted while the frame before it is still on its way or idle. One that is late by more than the
/// tolerance is dropped and logged (specification section 7, seed section 9): sent late, it would
/// put off the frame after it too, for its bits need more than half of a period.
pub async fn task<C: Cpu, L: PulseTransmitter<2>>(playback: Playback, cpu: C, mut leds: L, log: Log) {
    log.info(LED_TAG, format_args!("Initializing dual-channel LED driver:"));
    log.info(LED_TAG, format_args!("  Channel 1: GPIO 9 → 160 LEDs"));
    log.info(LED_TAG, format_args!("  Channel 2: GPIO 10 → 160 LEDs"));
    log.info(LED_TAG, format_args!("  Total: 320 LEDs @ {FPS} FPS"));
    log.info(LED_TAG, format_args!("Dual-channel LED driver started (frame period: 8.333 ms)"));
    log.info(TAG, format_args!("Playback task started on core 0 (HIGHEST priority)"));
    let (mut table, mut wire) = (Table::new(), Wire::black());
    // A period ahead, so that the first frame is on time as well.
    let mut start = Instant::now() + after_start(1);
    let mut sent_at = start;
    let mut tick = 0;
    loop {
        let mut deadline = start + after_start(tick);
        if defect::present(Defect::UnsteadyLoop) && tick % 32 == 31 {
            deadline += Duration::from_millis(1);
        }
        if defect::present(Defect::FramesLeftOut) && tick % 300 == 299 {
            tick += 2;
            continue;
        }
        if defect::present(Defect::FrameLostHourly) && tick % HOUR == HOUR / 2 {
            tick += 1;
            continue;
        }
        cpu.work(playback.paint(tick, deadline, &mut table, &mut wire));
        Timer::at(deadline).await;
        let now = Instant::now();
        let passed = if defect::present(Defect::UnsteadyLoop) { 0 } else { missed(tick, start, now) };
        if passed > 0 {
            let late = now.duration_since(sent_at).as_micros();
            if !defect::present(Defect::OverrunSilent) {
                log.warning(LED_TAG, format_args!("Frame underrun: {late} us (target: 8 ms)"));
            }
            if defect::present(Defect::OverrunShifts) {
                start += now.duration_since(deadline);
            } else if !defect::present(Defect::OverrunCatchesUp) {
                playback.note_dropped(passed);
                tick += passed;
                if defect::present(Defect::OverrunStandsStill) {
                    tick *= 2;
                }
                continue;
            }
        }
        sent_at = now;
        wire.send(&mut leds, tick).await;
        playback.note_sent();
        tick += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_do_not_drift() {
        assert_eq!(after_start(0), Duration::from_ticks(0));
        assert_eq!(after_start(1), Duration::from_micros(8333));
        assert_eq!(after_start(2), Duration::from_micros(16_666));
        assert_eq!(after_start(3), Duration::from_micros(25_000));
        assert_eq!(after_start(120 * 3600 * 24), Duration::from_secs(3600 * 24));
    }

    #[test]
    fn colours_leave_as_green_red_blue_on_their_own_pin() {
        let mut frame = [0; FRAME_BYTES];
        frame[..3].copy_from_slice(&[1, 2, 3]);
        frame[480..483].copy_from_slice(&[4, 5, 6]);
        frame[957..].copy_from_slice(&[7, 8, 9]);
        let mut table = [0; 256];
        for (value, entry) in (0..=255).zip(&mut table) {
            *entry = value;
        }
        let mut wire = Wire::black();
        wire.copy(&frame);
        wire.paint(&table);
        assert_eq!(wire.first[..4], [2, 1, 3, 0]);
        assert_eq!(wire.second[..4], [5, 4, 6, 0]);
        assert_eq!(wire.second[477..], [8, 7, 9]);
    }

    #[test]
    fn a_frame_that_cannot_be_on_time_is_dropped_with_those_after_it() {
        let start = Instant::from_micros(1_000_000);
        let at = |micros| start + Duration::from_micros(micros);
        assert_eq!(missed(0, start, at(0)), 0);
        assert_eq!(missed(0, start, at(416)), 0);
        assert_eq!(missed(0, start, at(417)), 1);
        assert_eq!(missed(0, start, at(8_333)), 1);
        assert_eq!(missed(0, start, at(8_400)), 2);
        assert_eq!(missed(3, start, at(25_000 + 50_000)), 7);
        assert_eq!(missed(3, start, at(25_000 - 5)), 0);
    }
}
