//! Seeded worlds: the whole standalone on a simulated clock, disk and net.
