//! Compression of payloads, in the forms that Pulsar's clients use.
//!
//! LZ4 is a bare block and Snappy its raw form; zlib and zstd are streams. None carries the size,
//! which is the metadata's `uncompressed_size`; it is a claim, and bounds what is written.

use std::io::{self, Read as _, Write as _};

use bytes::Bytes;

/// The largest payload that is decompressed: what says to be larger is taken for corrupt.
pub const UNCOMPRESSED_SIZE_MAX: usize = 128 * 1024 * 1024;

/// How payloads are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// LZ4: fast.
    Lz4,
    /// Zlib: small.
    Zlib,
    /// Zstandard: small, and fast to read.
    Zstd,
    /// Snappy: fast.
    Snappy,
}

/// A payload that is not what its metadata says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecompressError {
    /// It says to be larger than any message may be.
    #[error("says to have {0} bytes, more than {UNCOMPRESSED_SIZE_MAX}")]
    TooLarge(usize),
    /// It is of another size than it says.
    #[error("has {found} bytes after decompression, its metadata says {stated}")]
    Size {
        /// Its size.
        found: usize,
        /// As it says.
        stated: usize,
    },
    /// It is not compressed in this way.
    #[error("can't be decompressed: {0}")]
    Malformed(String),
}

impl Compression {
    /// Its number in the protocol (`CompressionType`).
    #[must_use]
    pub const fn code(self) -> i32 {
        match self {
            Self::None => 0,
            Self::Lz4 => 1,
            Self::Zlib => 2,
            Self::Zstd => 3,
            Self::Snappy => 4,
        }
    }

    /// The one with that number, if there is one.
    #[must_use]
    pub const fn of_code(code: i32) -> Option<Self> {
        Some(match code {
            0 => Self::None,
            1 => Self::Lz4,
            2 => Self::Zlib,
            3 => Self::Zstd,
            4 => Self::Snappy,
            _ => return None,
        })
    }

    /// Compresses a payload, which is far smaller than 2 GiB.
    ///
    /// # Errors
    ///
    /// If the library refuses it.
    pub fn compress(self, payload: Bytes) -> io::Result<Bytes> {
        match self {
            Self::None => Ok(payload),
            Self::Lz4 => Ok(lz4_flex::block::compress(&payload).into()),
            Self::Zlib => {
                let level = flate2::Compression::default();
                let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), level);
                encoder.write_all(&payload)?;
                encoder.finish().map(Bytes::from)
            }
            Self::Zstd => zstd::bulk::compress(&payload, 0).map(Bytes::from),
            Self::Snappy => {
                let compressed = snap::raw::Encoder::new().compress_vec(&payload);
                compressed.map(Bytes::from).map_err(io::Error::other)
            }
        }
    }

    /// The payload as it was before, `stated` bytes.
    ///
    /// # Errors
    ///
    /// [`DecompressError`].
    pub fn decompress(self, payload: Bytes, stated: u32) -> Result<Bytes, DecompressError> {
        let stated = usize::try_from(stated).unwrap_or(usize::MAX);
        if self == Self::None {
            return Ok(payload);
        }
        if UNCOMPRESSED_SIZE_MAX < stated {
            return Err(DecompressError::TooLarge(stated));
        }
        let plain = match self {
            Self::None => return Ok(payload),
            Self::Lz4 => decompress_lz4(&payload, stated)?,
            Self::Zlib => read_all(flate2::bufread::ZlibDecoder::new(&*payload), stated)?,
            Self::Zstd => {
                let decoder = zstd::stream::read::Decoder::with_buffer(&*payload);
                read_all(decoder.map_err(malformed)?, stated)?
            }
            Self::Snappy => decompress_snappy(&payload, stated)?,
        };
        if plain.len() == stated {
            Ok(plain.into())
        } else {
            Err(DecompressError::Size { found: plain.len(), stated })
        }
    }
}

/// A block grows by less than 255 times, so that a small one can't make us allocate much.
fn decompress_lz4(payload: &[u8], stated: usize) -> Result<Vec<u8>, DecompressError> {
    const GROWTH_MAX: usize = 255;
    if payload.len().saturating_mul(GROWTH_MAX) < stated {
        let found = payload.len().saturating_mul(GROWTH_MAX);
        return Err(DecompressError::Size { found, stated });
    }
    lz4_flex::block::decompress(payload, stated).map_err(malformed)
}

/// Raw Snappy begins with its size, and a three-byte copy makes at most 64 bytes.
fn decompress_snappy(payload: &[u8], stated: usize) -> Result<Vec<u8>, DecompressError> {
    const GROWTH_MAX: usize = 64;
    let found = snap::raw::decompress_len(payload).map_err(malformed)?;
    if found != stated || payload.len().saturating_mul(GROWTH_MAX) < stated {
        return Err(DecompressError::Size { found, stated });
    }
    snap::raw::Decoder::new().decompress_vec(payload).map_err(malformed)
}

/// Reads one byte more than stated at most, which tells a stream that is too long. A stream may have all
/// its bytes and no end: Java's client flushes its zlib streams and does not end them.
fn read_all(stream: impl io::Read, stated: usize) -> Result<Vec<u8>, DecompressError> {
    let limit = u64::try_from(stated).unwrap_or(u64::MAX).saturating_add(1);
    let mut plain = Vec::new();
    match stream.take(limit).read_to_end(&mut plain) {
        Ok(_) => Ok(plain),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && plain.len() == stated => {
            Ok(plain)
        }
        Err(error) => Err(malformed(error)),
    }
}

fn malformed(error: impl ToString) -> DecompressError {
    DecompressError::Malformed(error.to_string())
}

#[cfg(test)]
mod tests {
    use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

    use super::*;

    const ALL: [Compression; 5] = [
        Compression::None,
        Compression::Lz4,
        Compression::Zlib,
        Compression::Zstd,
        Compression::Snappy,
    ];

    fn payloads() -> Vec<Bytes> {
        let mut rng = StdRng::seed_from_u64(1);
        let noise: Vec<u8> = (0..10_000).map(|_| rng.random()).collect();
        let zeros = vec![0; 3_000_000];
        vec![Bytes::new(), "x".into(), "hello hello hello".into(), noise.into(), zeros.into()]
    }

    #[test]
    fn what_was_compressed_comes_back() {
        for (compression, payload) in
            ALL.into_iter().flat_map(|c| payloads().into_iter().map(move |p| (c, p)))
        {
            let size = u32::try_from(payload.len()).unwrap();
            let small = compression.compress(payload.clone()).unwrap();
            assert_eq!(
                compression.decompress(small, size),
                Ok(payload),
                "{compression:?}, {size} bytes"
            );
            assert_eq!(Compression::of_code(compression.code()), Some(compression));
        }
    }

    /// As Java's client writes it: flushed, and never ended.
    #[test]
    fn zlib_without_an_end_is_read() {
        for payload in payloads() {
            let mut encoder = flate2::Compress::new(flate2::Compression::default(), true);
            let mut small = Vec::with_capacity(payload.len() + 100);
            let flush = flate2::FlushCompress::Sync;
            encoder.compress_vec(&payload, &mut small, flush).unwrap();
            let size = u32::try_from(payload.len()).unwrap();
            let plain = Compression::Zlib.decompress(small.clone().into(), size);
            assert_eq!(plain, Ok(payload), "{size} bytes");
            for stated in [size.wrapping_sub(1), size + 1] {
                assert!(Compression::Zlib.decompress(small.clone().into(), stated).is_err());
            }
        }
    }

    #[test]
    fn a_wrong_size_is_an_error() {
        for compression in &ALL[1..] {
            let small = compression.compress("hello hello hello".into()).unwrap();
            for stated in [0, 16, 18, 1 << 20, u32::MAX] {
                let plain = compression.decompress(small.clone(), stated);
                assert!(plain.is_err(), "{compression:?} said {stated}");
            }
        }
    }

    #[test]
    fn changed_bytes_never_panic() {
        for seed in 0..1_000 {
            let mut rng = StdRng::seed_from_u64(seed);
            let compression = ALL[rng.random_range(1..ALL.len())];
            let payload: Vec<u8> =
                (0..rng.random_range(0..300)).map(|_| rng.random_range(0..4)).collect();
            let size = u32::try_from(payload.len()).unwrap();
            let mut small = compression.compress(payload.into()).unwrap().to_vec();
            for _ in 0..rng.random_range(1..4) {
                let at = rng.random_range(0..small.len());
                small[at] = rng.random();
            }
            small.truncate(rng.random_range(0..=small.len()));
            if let Ok(plain) = compression.decompress(small.into(), size) {
                assert_eq!(plain.len(), size as usize, "seed {seed}");
            }
        }
    }
}
