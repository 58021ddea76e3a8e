//! The time and the size of a page of 500 requirements, each with figures, a shape and a case with plenty
//! of evidence. Targets: at most 2 s and 5 MB.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};

#[path = "../src/html/large.rs"]
mod large;

const REQUIREMENTS: usize = 500;
const MOST_TIME: Duration = Duration::from_secs(2);
const MOST_BYTES: usize = 5_000_000;

fn page(criterion: &mut Criterion) {
    let run = large::large(REQUIREMENTS);
    let text = run.to_json().expect("a result");
    let began = Instant::now();
    let page = rigor_reports::html::render(&run, None);
    let took = began.elapsed();
    println!(
        "{REQUIREMENTS} requirements: {:.0} ms, {:.1} % of the {} s allowed; {} bytes, {:.0} % of the {MOST_BYTES} allowed",
        took.as_secs_f64() * 1e3,
        took.as_secs_f64() / MOST_TIME.as_secs_f64() * 100.0,
        MOST_TIME.as_secs(),
        page.len(),
        page.len() as f64 / MOST_BYTES as f64 * 100.0,
    );
    let mut group = criterion.benchmark_group("report of 500 requirements");
    group.sample_size(10);
    group.bench_function("page from a result", |bencher| {
        bencher.iter(|| rigor_reports::html::render(black_box(&run), None));
    });
    group.bench_function("page from the text of results.json", |bencher| {
        bencher.iter(|| {
            let run = rigor_core::result::RunResult::read(black_box(&text)).expect("a result");
            rigor_reports::html::render(&run, None)
        });
    });
    group.finish();
}

criterion_group!(benches, page);
criterion_main!(benches);
