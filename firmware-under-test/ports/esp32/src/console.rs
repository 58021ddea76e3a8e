//! The console: UART0, where the ROM's loader speaks as well.

use core::convert::Infallible;

use embedded_io_async::{ErrorType, Read, Write};
use esp_hal::Async;
use esp_hal::gpio::AnyPin;
use esp_hal::peripherals::UART0;
use esp_hal::uart::{Config, Uart, UartRx, UartTx};

/// Bits in a second (PRISM K1's firmware specification, section 10).
const BAUD: u32 = 115_200;

/// What the console receives.
pub struct ConsoleRx(UartRx<'static, Async>);
/// What the console sends.
pub struct ConsoleTx(UartTx<'static, Async>);

/// Both directions, on these pins.
///
/// # Panics
/// If esp-hal does not take the configuration, which is a constant: that ends the firmware.
pub fn open(uart: UART0<'static>, rx: AnyPin<'static>, tx: AnyPin<'static>) -> (ConsoleRx, ConsoleTx) {
    let uart = Uart::new(uart, Config::default().with_baudrate(BAUD)).expect("an ordinary rate");
    let (rx, tx) = uart.with_rx(rx).with_tx(tx).into_async().split();
    (ConsoleRx(rx), ConsoleTx(tx))
}

impl ErrorType for ConsoleRx {
    type Error = Infallible;
}

impl Read for ConsoleRx {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
        loop {
            // Noise on the line, or more bytes than anybody took: the line that it hit is refused as what it
            // has become, and the console goes on.
            if let Ok(count) = self.0.read_async(buffer).await {
                return Ok(count);
            }
        }
    }
}

impl ErrorType for ConsoleTx {
    type Error = Infallible;
}

impl Write for ConsoleTx {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        // Sending cannot fail; the type of its error says otherwise.
        Ok(self.0.write_async(bytes).await.unwrap_or(bytes.len()))
    }

    async fn flush(&mut self) -> Result<(), Infallible> {
        let _ = self.0.flush_async().await;
        Ok(())
    }
}
