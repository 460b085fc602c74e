//! JSON of the admin REST API, shared by server and command line.
