//! What is flashed, what is refused, and what a half-flashed board is left with, on a board that is an array of
//! bytes. The images are made here, field by field, of ESP-IDF's headers.

mod double;
mod flash;
mod images;
mod refusal;
