//! What keys do.

use ratatui::crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use crate::view::Act;

/// A line that is typed has at most so many characters.
const MAX_LINE: usize = 1000;

/// What was typed so far, and where in the log the reader is.
#[derive(Default, Debug)]
pub(crate) struct Keys {
    /// The line for the console, while one is being written.
    pub(super) line: Option<String>,
    /// Lines of the log below the lowest that is shown.
    pub(super) scrolled: usize,
}

impl Keys {
    pub(crate) fn event(&mut self, event: &Event) -> Option<Act> {
        match event {
            Event::Key(key) if key.kind != KeyEventKind::Release => match self.line.take() {
                Some(line) => self.write(line, key),
                None => self.command(key),
            },
            Event::Paste(text) => {
                if let Some(line) = &mut self.line {
                    line.extend(
                        text.chars().filter(|c| !c.is_control()).take(MAX_LINE - line.len().min(MAX_LINE)),
                    );
                }
                None
            }
            _ => None,
        }
    }

    fn command(&mut self, key: &KeyEvent) -> Option<Act> {
        let page = 10;
        match key.code {
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return Some(Act::Quit),
            KeyCode::Char('q') => return Some(Act::Quit),
            KeyCode::Char('r') => return Some(Act::Reset),
            KeyCode::Char('p') => return Some(Act::Power),
            KeyCode::Char(' ') => return Some(Act::Pause),
            KeyCode::Char('+' | '=') => return Some(Act::Faster),
            KeyCode::Char('-') => return Some(Act::Slower),
            KeyCode::Char(digit @ '1'..='9') => return Some(Act::Press(digit as usize - '1' as usize)),
            KeyCode::Char(':' | 'i') | KeyCode::Enter => self.line = Some(String::new()),
            KeyCode::Up => self.scrolled = self.scrolled.saturating_add(1),
            KeyCode::Down => self.scrolled = self.scrolled.saturating_sub(1),
            KeyCode::PageUp => self.scrolled = self.scrolled.saturating_add(page),
            KeyCode::PageDown => self.scrolled = self.scrolled.saturating_sub(page),
            KeyCode::End => self.scrolled = 0,
            _ => {}
        }
        None
    }

    fn write(&mut self, mut line: String, key: &KeyEvent) -> Option<Act> {
        match key.code {
            KeyCode::Esc => return None,
            KeyCode::Enter => {
                line.push('\n');
                return Some(Act::Type(line.into_bytes()));
            }
            KeyCode::Backspace => drop(line.pop()),
            KeyCode::Char('u') if key.modifiers.contains(KeyModifiers::CONTROL) => line.clear(),
            KeyCode::Char(c) if !key.modifiers.contains(KeyModifiers::CONTROL) && line.len() < MAX_LINE => {
                line.push(c);
            }
            _ => {}
        }
        self.line = Some(line);
        None
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn press(keys: &mut Keys, text: &str) -> Vec<Act> {
        let events = text.chars().map(|c| match c {
            '\n' => KeyCode::Enter,
            '\u{1b}' => KeyCode::Esc,
            '\u{8}' => KeyCode::Backspace,
            c => KeyCode::Char(c),
        });
        events.filter_map(|code| keys.event(&Event::Key(code.into()))).collect()
    }

    #[rstest]
    #[case("q", vec![Act::Quit])]
    #[case("rp +-", vec![Act::Reset, Act::Power, Act::Pause, Act::Faster, Act::Slower])]
    #[case("19", vec![Act::Press(0), Act::Press(8)])]
    #[case(":quiet\nq", vec![Act::Type(b"quiet\n".to_vec()), Act::Quit])]
    #[case("irrX\u{8}\n", vec![Act::Type(b"rr\n".to_vec())])]
    #[case(":r\u{1b}r", vec![Act::Reset])]
    #[case("xyz0", vec![])]
    fn a_key_does_what_the_foot_says(#[case] typed: &str, #[case] acts: Vec<Act>) {
        assert_eq!(press(&mut Keys::default(), typed), acts);
    }

    #[test]
    fn a_line_has_an_end() {
        let mut keys = Keys::default();
        press(&mut keys, ":");
        press(&mut keys, &"x".repeat(5000));
        keys.event(&Event::Paste("y\n\u{1b}".repeat(5000)));
        assert!(keys.line.is_some_and(|line| line.len() == MAX_LINE));
    }
}
