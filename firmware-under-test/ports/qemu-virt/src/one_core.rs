//! Critical sections of a machine with one core.

use core::arch::asm;

/// One core: a critical section is one without interrupts.
struct OneCore;
critical_section::set_impl!(OneCore);

/// Machine interrupts enabled (`mstatus.MIE`).
const MIE: usize = 1 << 3;

// SAFETY: nothing but an interrupt can come between on one core; nesting restores what was.
unsafe impl critical_section::Impl for OneCore {
    unsafe fn acquire() -> bool {
        let mstatus: usize;
        // SAFETY: turning interrupts off is always sound.
        unsafe { asm!("csrrci {}, mstatus, 8", out(reg) mstatus) };
        mstatus & MIE != 0
    }

    unsafe fn release(were_on: bool) {
        if were_on {
            // SAFETY: they were on before.
            unsafe { asm!("csrsi mstatus, 8") };
        }
    }
}
