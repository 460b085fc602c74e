//! The bookie: storage behind the interface that ledger clients use.
