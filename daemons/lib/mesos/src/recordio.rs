//! RecordIO: `<decimal length>\n<bytes>`, repeated. The decoder takes bytes as they come from the network.
//!
//! A length that is not decimal, is zero, or is above the bound ends the stream; empty lines are skipped.

use bytes::{Buf, Bytes, BytesMut};

/// The largest record that is read.
pub const MAXIMUM_RECORD: usize = 64 * 1024 * 1024;

/// Why a stream cannot be read further.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The length is not a decimal number.
    #[error("record length is not a decimal number")]
    Length,
    /// The record is larger than allowed.
    #[error("record of {length} bytes is larger than the bound of {maximum}")]
    TooLarge {
        /// What the peer announced.
        length: u64,
        /// What is read at most.
        maximum: usize,
    },
}

/// Appends one record to a buffer.
pub fn encode_into(buffer: &mut Vec<u8>, record: &[u8]) {
    buffer.reserve(record.len() + 12);
    buffer.extend_from_slice(record.len().to_string().as_bytes());
    buffer.push(b'\n');
    buffer.extend_from_slice(record);
}

/// One record, framed.
pub fn encode(record: &[u8]) -> Bytes {
    let mut buffer = Vec::new();
    encode_into(&mut buffer, record);
    Bytes::from(buffer)
}

/// Takes chunks in and gives records out. It holds no more than one unfinished record and the last chunk.
#[derive(Debug)]
pub struct Decoder {
    buffer: BytesMut,
    wanted: Option<usize>,
    maximum: usize,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new(MAXIMUM_RECORD)
    }
}

impl Decoder {
    /// A decoder that refuses records above `maximum` bytes.
    pub fn new(maximum: usize) -> Self {
        Self {
            buffer: BytesMut::new(),
            wanted: None,
            maximum,
        }
    }

    /// Adds what was received.
    pub fn push(&mut self, chunk: &[u8]) {
        self.buffer.extend_from_slice(chunk);
    }

    /// The next whole record, if there is one.
    ///
    /// # Errors
    /// The stream is malformed; it cannot be read further.
    pub fn next_record(&mut self) -> Result<Option<Bytes>, RecordError> {
        loop {
            if let Some(length) = self.wanted {
                if self.buffer.len() < length {
                    return Ok(None);
                }
                self.wanted = None;
                let record = self.buffer.split_to(length).freeze();
                if self.buffer.is_empty() {
                    // A stream lives for days; one large record must not pin its buffer.
                    self.buffer = BytesMut::new();
                }
                return Ok(Some(record));
            }
            let Some(end) = self.buffer.iter().take(21).position(|byte| *byte == b'\n') else {
                // 2^64 has 20 digits: more without a line end is no length.
                if self.buffer.len() > 20 || self.buffer.iter().any(|byte| !byte.is_ascii_digit()) {
                    return Err(RecordError::Length);
                }
                return Ok(None);
            };
            let line = self.buffer.split_to(end);
            self.buffer.advance(1);
            if line.is_empty() {
                continue;
            }
            self.wanted = Some(self.length(&line)?);
        }
    }

    fn length(&self, line: &[u8]) -> Result<usize, RecordError> {
        let text = std::str::from_utf8(line).map_err(|_| RecordError::Length)?;
        if !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(RecordError::Length);
        }
        let length: u64 = text.parse().map_err(|_| RecordError::Length)?;
        if length == 0 {
            return Err(RecordError::Length);
        }
        usize::try_from(length)
            .ok()
            .filter(|length| *length <= self.maximum)
            .ok_or(RecordError::TooLarge {
                length,
                maximum: self.maximum,
            })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn drain(decoder: &mut Decoder, out: &mut Vec<Vec<u8>>) {
        while let Some(record) = decoder.next_record().unwrap() {
            out.push(record.to_vec());
        }
    }

    #[test]
    fn stream_split_at_every_byte_gives_the_same_records() {
        let records: Vec<Vec<u8>> = vec![
            b"a".to_vec(),
            b"12\n34".to_vec(),
            vec![b'x'; 300],
            b"{}".to_vec(),
        ];
        let mut stream = Vec::new();
        for record in &records {
            encode_into(&mut stream, record);
            stream.push(b'\n');
        }
        for cut in 0..=stream.len() {
            let mut decoder = Decoder::default();
            let mut out = Vec::new();
            let (head, tail) = stream.split_at(cut);
            for part in [head, tail] {
                decoder.push(part);
                drain(&mut decoder, &mut out);
            }
            assert_eq!(out, records, "cut at {cut}");
        }
        let mut decoder = Decoder::default();
        let mut out = Vec::new();
        for byte in &stream {
            decoder.push(std::slice::from_ref(byte));
            drain(&mut decoder, &mut out);
        }
        assert_eq!(out, records);
    }

    #[test]
    fn malformed_lengths_end_the_stream() {
        for bad in [
            "x\n",
            "0\nab",
            "-1\n",
            "1a\n",
            " 1\n",
            "111111111111111111111111",
            "99999999999999999999\n",
        ] {
            let mut decoder = Decoder::default();
            decoder.push(bad.as_bytes());
            assert!(decoder.next_record().is_err(), "{bad:?}");
        }
        let mut decoder = Decoder::new(10);
        decoder.push(b"11\n");
        assert_eq!(
            decoder.next_record(),
            Err(RecordError::TooLarge {
                length: 11,
                maximum: 10
            })
        );
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_records_back(
            records in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..64), 0..12),
            sizes in prop::collection::vec(1usize..40, 1..20),
        ) {
            let mut stream = Vec::new();
            for record in &records {
                encode_into(&mut stream, record);
            }
            let mut decoder = Decoder::default();
            let mut out = Vec::new();
            let mut rest = &stream[..];
            for size in sizes.iter().cycle() {
                if rest.is_empty() { break; }
                let (head, tail) = rest.split_at((*size).min(rest.len()));
                decoder.push(head);
                drain(&mut decoder, &mut out);
                rest = tail;
            }
            prop_assert_eq!(out, records);
        }

        #[test]
        fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut decoder = Decoder::new(1000);
            decoder.push(&bytes);
            while let Ok(Some(_)) = decoder.next_record() {}
        }
    }
}
