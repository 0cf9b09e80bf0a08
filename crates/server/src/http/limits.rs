use std::time::Duration;

/// How large, how long, how many. Nobody who asks politely meets these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request's body.
    pub body: usize,
    /// Bytes of a request's line and headers; half as many are always read.
    pub headers: usize,
    /// Until a request's headers are there: from the connection, or from the end of the request before.
    pub header_time: Duration,
    /// Until its body is there.
    pub body_time: Duration,
    /// Until it is understood: its JSON read, its template rendered, its prompt encoded.
    pub work_time: Duration,
    /// How long a client may leave what is sent to it unread.
    pub write_time: Duration,
    /// Connections that are open at once.
    pub connections: usize,
    /// Between two signs of life in a stream.
    pub ping: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: 16 << 20,
            headers: 64 << 10,
            header_time: Duration::from_secs(30),
            body_time: Duration::from_secs(60),
            work_time: Duration::from_secs(60),
            write_time: Duration::from_secs(60),
            connections: 512,
            ping: Duration::from_secs(15),
        }
    }
}
