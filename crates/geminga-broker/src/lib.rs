//! Topics, namespaces, ownership, policies and schemas; knows no client protocol.
