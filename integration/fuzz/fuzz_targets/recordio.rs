//! However a stream is cut, the same records come out, and garbage is an error, never a panic.
#![no_main]

use bcs_mesos::recordio::Decoder;
use libfuzzer_sys::fuzz_target;

fn records(chunks: impl Iterator<Item = Vec<u8>>) -> (Vec<Vec<u8>>, bool) {
    let mut decoder = Decoder::new(1 << 16);
    let mut records = Vec::new();
    for chunk in chunks {
        decoder.push(&chunk);
        loop {
            match decoder.next_record() {
                Ok(Some(record)) => records.push(record.to_vec()),
                Ok(None) => break,
                Err(_) => return (records, false),
            }
        }
    }
    (records, true)
}

fuzz_target!(|input: (u8, &[u8])| {
    let (size, bytes) = input;
    let whole = records(std::iter::once(bytes.to_vec()));
    let split = records(bytes.chunks(usize::from(size).max(1)).map(<[u8]>::to_vec));
    assert_eq!(whole, split);
});
