//! The picture in the terminal.

use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Position, Rect};
use ratatui::style::{Color, Modifier, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, BorderType, LineGauge, Paragraph, Sparkline};
use rigor_core::Instant;
use rigor_decode::console::LogLevel;

use super::Keys;
use super::strips::{self, Fold};
use crate::scene::{Entry, State, Strip};
use crate::view::{Keeping, Shown};

const QUIET: Color = Color::Rgb(130, 134, 146);
const LOUD: Color = Color::Rgb(120, 190, 255);
const GOOD: Color = Color::Rgb(120, 210, 130);
const WARNING: Color = Color::Rgb(235, 190, 80);
const ALARM: Color = Color::Rgb(245, 105, 100);

/// Rows of the two panes between LEDs and log, with their frames.
const PANES: u16 = 10;
/// The log has at least so many rows, with its frame.
const LOG: u16 = 6;
/// Head and foot.
const HEAD: u16 = 2;
const FOOT: u16 = 1;

/// Draws all of it.
pub(super) fn draw(frame: &mut Frame<'_>, shown: &Shown<'_>, keys: &mut Keys) {
    let area = frame.area();
    let lanes = shown.scene.strips.len().max(1) as u16;
    // On a low terminal the panes go first: LEDs and log say most.
    let panes = if area.height >= HEAD + FOOT + LOG + PANES + 3 * lanes { PANES } else { 0 };
    let room = area.height.saturating_sub(HEAD + FOOT + LOG + panes) / lanes;
    let rows = usize::from(room.saturating_sub(2).clamp(1, 8));
    let width = usize::from(area.width.saturating_sub(4));
    let folds: Vec<Fold> =
        shown.scene.strips.iter().map(|strip| Fold::of(strip.colours.len(), width, rows)).collect();

    let mut heights = vec![Constraint::Length(HEAD)];
    heights.extend(folds.iter().map(|fold| Constraint::Length(fold.rows.min(rows) as u16 + 2)));
    heights.extend([Constraint::Length(panes), Constraint::Min(0), Constraint::Length(FOOT)]);
    let places = Layout::vertical(heights).split(area);
    let [head, places @ .., panes_at, log_at, foot] = &places[..] else { return };

    draw_head(frame, *head, shown);
    for ((strip, fold), place) in shown.scene.strips.iter().zip(folds).zip(places) {
        draw_strip(frame, *place, strip, fold, shown.now);
    }
    if panes > 0 {
        let [left, right] =
            Layout::horizontal([Constraint::Percentage(46), Constraint::Min(0)]).areas(*panes_at);
        draw_device(frame, left, shown);
        draw_said(frame, right, shown);
    }
    draw_log(frame, *log_at, shown, keys);
    draw_foot(frame, *foot, shown, keys);
}

fn pane(title: impl Into<Line<'static>>) -> Block<'static> {
    Block::bordered()
        .border_type(BorderType::Rounded)
        .border_style(Style::new().fg(Color::Rgb(70, 74, 86)))
        .title(title)
}

fn draw_head(frame: &mut Frame<'_>, area: Rect, shown: &Shown<'_>) {
    let [first, second] = Layout::vertical([Constraint::Length(1), Constraint::Length(1)]).areas(area);
    let device = &shown.scene.device;
    let (mark, state) = match device.state {
        State::Off => ("○".fg(QUIET), "off".to_owned()),
        State::Booting => ("◐".fg(WARNING), "booting".to_owned()),
        State::Running(since, cause) => {
            let cause = crate::scene::cause(cause);
            ("●".fg(GOOD), format!("runs for {}, by {cause}", whole_seconds(shown.now.since(since))))
        }
    };
    let mut left = vec![
        Span::raw(" "),
        Span::styled(shown.whereabouts.rig.clone(), Style::new().fg(LOUD).add_modifier(Modifier::BOLD)),
        format!("  firmware {}   ", shown.whereabouts.firmware).into(),
        mark,
        format!(" {state}").into(),
    ];
    if device.crashes > 0 {
        left.push(format!("   {} crashes", device.crashes).fg(ALARM));
    }
    frame.render_widget(Line::from(left), first);
    frame.render_widget(Line::from(pace(&shown.keeping, shown.now)).right_aligned(), first);

    let mut places: Vec<Span<'_>> = vec![Span::raw(" ")];
    for service in &shown.whereabouts.services {
        let host = format!("{}:{}", service.host, service.port);
        places.push(Span::styled(format!("{} ", service.name), Style::new().fg(QUIET)));
        places.push(host.fg(LOUD));
        places.push(format!(" is port {}   ", service.device_port).fg(QUIET));
    }
    if let Some(console) = &shown.whereabouts.console {
        places.push("console ".fg(QUIET));
        places.push(console.display().to_string().fg(LOUD));
    }
    frame.render_widget(Line::from(places), second);
}

fn pace(keeping: &Keeping, now: Instant) -> Vec<Span<'static>> {
    let clock = format!("{:.2} s  ", now.as_secs_f64());
    let mut spans = vec![clock.into()];
    if keeping.is_paused {
        spans.push("paused ".fg(WARNING).bold());
        return spans;
    }
    let speed = format!("{:.2} x ", keeping.measured);
    let keeps_up = keeping.measured > keeping.wanted * 0.97;
    spans.push(speed.fg(if keeps_up { GOOD } else { ALARM }));
    // What has the host's clock is late by what the host is, which shows elsewhere.
    if !keeps_up && !keeping.is_the_hosts {
        let late = format!("of {} x, {} ms late ", keeping.wanted, keeping.lag.as_millis());
        spans.push(late.fg(ALARM));
    }
    spans
}

fn whole_seconds(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, m, s) => format!("{m}:{s:02}"),
        (h, m, s) => format!("{h}:{m:02}:{s:02}"),
    }
}

fn draw_strip(frame: &mut Frame<'_>, area: Rect, strip: &Strip, fold: Fold, now: Instant) {
    let fps = strip.frames_per_second(now);
    let mut title = vec![
        Span::styled(format!(" {} ", strip.signal), Style::new().fg(LOUD)),
        format!("{} LEDs ", strip.colours.len()).fg(QUIET),
    ];
    if fps == 0.0 {
        title.push(" silent ".fg(QUIET));
    } else {
        title.push(format!(" {fps:.0} frames/s ").fg(GOOD));
        if let Some((shortest, longest)) = strip.periods() {
            let millis = |time: Duration| time.as_secs_f64() * 1e3;
            title.push(format!("every {:.2} to {:.2} ms ", millis(shortest), millis(longest)).fg(QUIET));
        }
    }
    if strip.odd > 0 {
        title.push(format!(" {} odd frames ", strip.odd).fg(WARNING));
    }
    let block = pane(Line::from(title));
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let strip_width = (fold.columns * fold.wide).min(inner.width.into()) as u16;
    let left = inner.x + (inner.width - strip_width) / 2;
    let place = Rect { x: left, width: strip_width, ..inner };
    strips::draw(&strip.colours, fold, place, frame.buffer_mut());
}

fn kib(bytes: u64) -> String {
    format!("{:.1} KiB", bytes as f64 / 1024.0)
}

fn draw_device(frame: &mut Frame<'_>, area: Rect, shown: &Shown<'_>) {
    let block = pane(" device ");
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let [heap_at, more_at, trend_at, flash_at, counts_at, clients_at] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Min(0),
    ])
    .areas(inner);

    let scene = shown.scene;
    let known = |bytes: Option<u64>| bytes.map_or("?".to_owned(), kib);
    let free = format!("heap  {} free, never less than {}", known(scene.heap.free), known(scene.heap.lowest));
    frame.render_widget(Line::from(free), heap_at);
    let largest = format!("      {} in the largest block", known(scene.heap.largest));
    frame.render_widget(Line::from(largest.fg(QUIET)), more_at);
    let room = usize::from(trend_at.width);
    let skipped = scene.heap.history.len().saturating_sub(room);
    let trend = Sparkline::default()
        .data(scene.heap.history.iter().skip(skipped).copied())
        .style(Style::new().fg(QUIET));
    frame.render_widget(trend, trend_at);

    let share = scene.flash.share(shown.now);
    let gauge = LineGauge::default()
        .ratio(share.clamp(0.0, 1.0))
        .label(format!("flash busy {:3.0} %", share * 100.0))
        .filled_style(Style::new().fg(if share > 0.9 { WARNING } else { LOUD }))
        .unfilled_style(Style::new().fg(Color::Rgb(55, 58, 66)));
    frame.render_widget(gauge, flash_at);
    let counts = format!("{} sectors erased, {} programmed", scene.flash.erased, kib(scene.flash.programmed));
    frame.render_widget(Line::from(counts.fg(QUIET)), counts_at);

    let mut clients: Vec<Line<'_>> = Vec::new();
    match &shown.clients {
        None => clients.push("clients are not seen here".fg(QUIET).into()),
        Some(none) if none.is_empty() => clients.push("no clients".fg(QUIET).into()),
        Some(_) => {}
    }
    for client in shown.clients.iter().flatten() {
        let state = if client.is_open { "" } else { "  waits" };
        let text = format!(
            "{} {}  {} in, {} out{state}",
            client.door.service,
            client.from,
            kib(client.to_device),
            kib(client.from_device)
        );
        clients.push(text.into());
    }
    let room = usize::from(clients_at.height);
    if clients.len() > room && room > 0 {
        let more = clients.len() - room + 1;
        clients.truncate(room - 1);
        clients.push(format!("and {more} more").fg(QUIET).into());
    }
    frame.render_widget(Paragraph::new(clients), clients_at);
}

fn colour_of(level: Option<LogLevel>) -> Style {
    match level {
        Some(LogLevel::Error) => Style::new().fg(ALARM),
        Some(LogLevel::Warn) => Style::new().fg(WARNING),
        Some(LogLevel::Info) => Style::new(),
        Some(LogLevel::Debug | LogLevel::Verbose) | None => Style::new().fg(QUIET),
    }
}

/// The last word of each part of the firmware, the newest first.
fn draw_said(frame: &mut Frame<'_>, area: Rect, shown: &Shown<'_>) {
    let block = pane(" what its parts said last ");
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let mut said: Vec<_> = shown.scene.log.tags.iter().collect();
    said.sort_by_key(|(_, said)| std::cmp::Reverse(said.at));
    let lines = said.into_iter().take(inner.height.into()).map(|(tag, said)| {
        let tag: String = tag.chars().take(12).collect();
        Line::from(vec![
            Span::styled(format!("{tag:<13}"), Style::new().fg(LOUD)),
            Span::styled(said.message.clone(), colour_of(Some(said.level))),
        ])
    });
    frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()), inner);
}

fn draw_log(frame: &mut Frame<'_>, area: Rect, shown: &Shown<'_>, keys: &mut Keys) {
    let log = &shown.scene.log;
    let rows = usize::from(area.height.saturating_sub(2));
    keys.scrolled = keys.scrolled.min(log.entries.len().saturating_sub(rows));
    let title = match keys.scrolled {
        0 => format!(" console  {} lines ", log.total),
        scrolled => format!(" console  {scrolled} lines below; End goes there "),
    };
    let end = log.entries.len() - keys.scrolled;
    let lines = log.entries.range(end.saturating_sub(rows)..end).map(log_line);
    frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()).block(pane(title)), area);
}

fn log_line(entry: &Entry) -> Line<'_> {
    let time = format!("{:>10.3}  ", entry.at.as_secs_f64()).fg(Color::Rgb(95, 99, 112));
    let text = match entry.is_note {
        true => {
            Span::styled(format!("— {} —", entry.text), Style::new().fg(LOUD).add_modifier(Modifier::ITALIC))
        }
        false => Span::styled(entry.text.as_str(), colour_of(entry.level)),
    };
    Line::from(vec![time, text])
}

fn draw_foot(frame: &mut Frame<'_>, area: Rect, shown: &Shown<'_>, keys: &Keys) {
    if let Some(line) = &keys.line {
        let text = format!(" to the console: {line}");
        let column = Line::from(text.as_str()).width().min(usize::from(area.width.saturating_sub(1)));
        frame.render_widget(Line::from(vec![text.bold(), "   Enter sends, Esc leaves".fg(QUIET)]), area);
        frame.set_cursor_position(Position::new(area.x + column as u16, area.y));
        return;
    }
    let mut spans = vec![Span::raw(" ")];
    let mut key = |name: String, does: String| {
        spans.push(Span::styled(name, Style::new().fg(LOUD).add_modifier(Modifier::BOLD)));
        spans.push(format!(" {does}   ").fg(QUIET));
    };
    let of_the_pace: &[_] =
        if shown.keeping.is_the_hosts { &[] } else { &[("space", "pause"), ("+ -", "speed")] };
    for (name, does) in [("q", "quit"), ("r", "reset"), ("p", "power")].iter().chain(of_the_pace) {
        key((*name).to_owned(), (*does).to_owned());
    }
    for (index, pin) in shown.pins.iter().take(9).enumerate() {
        key(format!("{}", index + 1), pin.clone());
    }
    key(":".to_owned(), "type to the console".to_owned());
    key("PgUp PgDn".to_owned(), "log".to_owned());
    frame.render_widget(Line::from(spans), area);
}

#[cfg(test)]
mod tests;
