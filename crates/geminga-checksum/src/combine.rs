//! Moving a CRC past bytes that follow: multiplication by a power of x modulo the polynomial.
//!
//! Bits are reflected, as in the CRC itself: the highest bit is the coefficient of x⁰. `crc(a ‖ b)` is
//! `crc(a) · x^(8·|b|) + crc(b)`; the conditioning of both ends cancels out. The method is that of
//! Mark Adler's `crc32_combine` in zlib; the powers are computed at compile time.

/// Castagnoli's polynomial, reflected.
const POLYNOMIAL: u32 = 0x82f6_3b78;
/// x⁰.
const ONE: u32 = 1 << 31;
/// x⁸: one byte further.
const BYTE: u32 = 1 << 23;

/// `x^(8 · 2^k)`: how far `2^k` bytes move.
const POWERS: [u32; usize::BITS as usize] = powers();

const fn powers() -> [u32; usize::BITS as usize] {
    let mut powers = [BYTE; usize::BITS as usize];
    let mut k = 1;
    while k < powers.len() {
        powers[k] = multiply(powers[k - 1], powers[k - 1]);
        k += 1;
    }
    powers
}

/// The product of two polynomials.
const fn multiply(a: u32, mut b: u32) -> u32 {
    let mut product = 0;
    let mut bit = ONE;
    while bit != 0 {
        if a & bit != 0 {
            product ^= b;
        }
        b = if b & 1 == 0 { b >> 1 } else { (b >> 1) ^ POLYNOMIAL };
        bit >>= 1;
    }
    product
}

/// `crc` moved past `len` bytes.
pub(crate) const fn shift(crc: u32, len: usize) -> u32 {
    let mut left = len;
    let mut moved = crc;
    while left != 0 {
        moved = multiply(POWERS[left.trailing_zeros() as usize], moved);
        left &= left - 1;
    }
    moved
}
