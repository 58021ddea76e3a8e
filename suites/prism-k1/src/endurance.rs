//! Cases about what wears a device down: power cuts, thousands of clients and uploads, a whole day.
//!
//! They decide requirements of several groups. Most are [long](rigor_runner::case::Case::long); what
//! they look for has a small sample in a short case too, where that is possible.

mod aim;
mod provisioning_cuts;
mod upload_cuts;
mod victim;

use rigor_runner::Suite;

pub(crate) fn add_to(suite: &mut Suite) {
    upload_cuts::add_to(suite);
    provisioning_cuts::add_to(suite);
}
