//! How long a person waits: every case of every suite that is not long, one after the other on one
//! core.
//!
//! Target: at most 10 s on two cores. The test binary spreads the cases over the cores, runs the long
//! ones too, and says at the end of its table what all of it took.

use criterion::{Criterion, SamplingMode, criterion_group, criterion_main};
use rigor_core::result::EXIT_OK;

fn whole_suite(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("hil");
    // Ten samples are what criterion insists on; each is seconds long.
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    group.bench_function("every short case on one core (target 10 s on two)", |bencher| {
        bencher.iter(|| {
            let result = rigor_runner::cli::run_short(rigor_suites::suites(), rigor_suites::firmwares())
                .expect("valid catalogues and rig files");
            assert_eq!(result.exit_code, EXIT_OK);
        });
    });
    group.finish();
}

criterion_group!(benches, whole_suite);
criterion_main!(benches);
