//! Moving a CRC past bytes that follow: multiplication by a power of x modulo the polynomial.
//!
//! Bits are reflected, as in the CRC itself: the highest bit is the coefficient of x⁰. `crc(a ‖ b)` is
//! `crc(a) · x^(8·|b|) + crc(b)`; the conditioning of both ends cancels out. The method is that of
//! Mark Adler's `crc32_combine` in zlib; the tables are computed at compile time.

/// Castagnoli's polynomial, reflected.
const POLYNOMIAL: u32 = 0x82f6_3b78;
/// x⁰.
const ONE: u32 = 1 << 31;
/// x⁸: one byte further.
const BYTE: u32 = 1 << 23;

/// Four bits of a sum select a product, so eight look-ups multiply.
const NIBBLES: usize = 8;
const NIBBLE_BITS: usize = 4;
const NIBBLE_MASK: u32 = (1 << NIBBLE_BITS) - 1;

/// The products of all sums with one power of x, by nibble of the sum.
type Products = [[u32; 1 << NIBBLE_BITS]; NIBBLES];

/// For `x^(8 · 2^k)`: how far `2^k` bytes move.
static PRODUCTS: [Products; usize::BITS as usize] = products();

const fn products() -> [Products; usize::BITS as usize] {
    let mut all = [[[0; 1 << NIBBLE_BITS]; NIBBLES]; usize::BITS as usize];
    let mut power = BYTE;
    let mut k = 0;
    while k < all.len() {
        all[k] = products_with(power);
        power = multiply(power, power);
        k += 1;
    }
    all
}

const fn products_with(power: u32) -> Products {
    let mut products = [[0; 1 << NIBBLE_BITS]; NIBBLES];
    let mut bit = 0;
    while bit < u32::BITS as usize {
        let (nibble, of_nibble) = (bit / NIBBLE_BITS, 1 << (bit % NIBBLE_BITS));
        let product = multiply(power, 1 << bit);
        let mut value = of_nibble;
        while value < products[nibble].len() {
            if value & of_nibble != 0 {
                products[nibble][value] ^= product;
            }
            value += 1;
        }
        bit += 1;
    }
    products
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
pub(crate) fn shift(crc: u32, len: usize) -> u32 {
    let mut left = len;
    let mut moved = crc;
    while left != 0 {
        let products = &PRODUCTS[left.trailing_zeros() as usize];
        moved = products.iter().enumerate().fold(0, |sum, (nibble, products)| {
            let value = (moved >> (nibble * NIBBLE_BITS)) & NIBBLE_MASK;
            sum ^ products[value as usize]
        });
        left &= left - 1;
    }
    moved
}
