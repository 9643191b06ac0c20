//! Throws mutated input at everything that reads what a stranger wrote. A panic, an overflow of the stack or a broken
//! promise ends the process: that is a finding.
//!
//! `cargo run --release --manifest-path fuzz/Cargo.toml -- <target> [--seconds N] [--seed N]`

mod budget;
mod manifest;
mod mutate;
mod paths;
mod redactor;
mod seeds;
mod targets;

use mutate::Pool;
use std::time::{Duration, Instant};

/// As large as the stack of a worker thread of the operator.
const STACK: usize = 2 << 20;
/// Longest time that one input may take. The machine may be busy, so this is far above what any input needs.
const SLOW: Duration = Duration::from_secs(5);
/// Inputs kept for further mutation.
const MAX_POOL: usize = 4096;

fn main() {
    let mut args = std::env::args().skip(1);
    let (mut name, mut seconds, mut seed) = (None, 60, 1);
    while let Some(arg) = args.next() {
        let mut number = || args.next().and_then(|text| text.parse::<u64>().ok()).unwrap_or_else(|| usage());
        match arg.as_str() {
            "--seconds" => seconds = number(),
            "--seed" => seed = number(),
            _ if name.is_none() => name = Some(arg),
            _ => usage(),
        }
    }
    let Some(target) = name.and_then(|name| targets::all().into_iter().find(|target| target.name == name)) else {
        usage()
    };
    let run = move || run(&target, Duration::from_secs(seconds), seed);
    let thread = std::thread::Builder::new().stack_size(STACK).spawn(run).expect("start a thread");
    if thread.join().is_err() {
        std::process::exit(1);
    }
}

fn usage() -> ! {
    let names: Vec<&str> = targets::all().iter().map(|target| target.name).collect();
    eprintln!("usage: kollect-fuzz <{}> [--seconds N] [--seed N]", names.join("|"));
    std::process::exit(2);
}

fn run(target: &targets::Target, time: Duration, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut check = (target.prepare)();
    let mut pool = Pool::new(target.seeds, target.words);
    let start = Instant::now();
    let (mut executions, mut accepted) = (0_u64, 0_u64);
    // Without coverage, an answer that was not seen before is the sign of a new way through the code.
    let mut seen = std::collections::HashSet::new();
    while start.elapsed() < time {
        for _ in 0..64 {
            let input = pool.next(&mut random);
            Last::set(&input);
            let began = Instant::now();
            let answer = check(&input);
            let took = began.elapsed();
            assert!(took < SLOW, "{took:?} for {:?}", String::from_utf8_lossy(&input));
            executions += 1;
            accepted += u64::from(answer.accepted);
            if seen.len() < 1 << 16 && seen.insert(answer.signature) && pool.len() < MAX_POOL {
                pool.keep(input);
            }
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    println!("{} {executions} {seconds:.0}", target.name);
    eprintln!("  accepted {accepted}, kept {} inputs, {} answers", pool.len(), seen.len());
}

/// Keeps the input of the running check in a file, so that it is there after a crash of any kind.
struct Last;

impl Last {
    fn set(input: &[u8]) {
        use std::cell::RefCell;
        use std::os::unix::fs::FileExt as _;
        thread_local! {
            static FILE: RefCell<Option<std::fs::File>> = const { RefCell::new(None) };
        }
        FILE.with_borrow_mut(|file| {
            let file = file.get_or_insert_with(|| {
                let path = std::env::temp_dir().join(format!("kollect-fuzz-{}", std::process::id()));
                eprintln!("  the running input is in {}", path.display());
                std::fs::File::create(path).expect("create the file of the running input")
            });
            let length = u32::try_from(input.len()).unwrap_or(0).to_le_bytes();
            file.write_all_at(&[&length[..], input].concat(), 0).expect("write the running input");
        });
    }
}
