//! Frames of the bare servers: a length, four bytes of big endian, and so many bytes.

pub(crate) const LENGTH_LEN: usize = 4;

/// How many whole frames `bytes` begins with, and how long they are together.
pub(crate) fn whole(bytes: &[u8]) -> (u64, usize) {
    let (mut count, mut at) = (0, 0);
    while let Some(length) = bytes.get(at..at + LENGTH_LEN).and_then(|it| it.try_into().ok()) {
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        let end = at.saturating_add(LENGTH_LEN).saturating_add(length);
        if bytes.len() < end {
            break;
        }
        (count, at) = (count + 1, end);
    }
    (count, at)
}

/// So many frames of `size` bytes each.
pub(crate) fn frames(count: usize, size: u32) -> Vec<u8> {
    let mut one = size.to_be_bytes().to_vec();
    one.resize(LENGTH_LEN + usize::try_from(size).unwrap_or(usize::MAX), 0x5a);
    one.repeat(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_frames_are_counted() {
        let bytes = frames(3, 10);
        assert_eq!(bytes.len(), 42);
        assert_eq!(whole(&bytes), (3, 42));
        assert_eq!(whole(&bytes[..41]), (2, 28));
        assert_eq!(whole(&bytes[..3]), (0, 0));
    }
}
