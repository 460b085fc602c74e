//! Subscriptions as pure state machines: dispatch, acks, permits, redelivery.
