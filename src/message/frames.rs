//! What an HTTP/2 client says, frame by frame (RFC 9113 §4.1), and whether it says too much of nothing.
//!
//! h2 answers every ping and takes every reset for as long as they come. All of them are seen here, by the nine bytes
//! that each frame begins with. Frames that carry something earn patience with those that carry nothing, so what a busy
//! client says beside its work never counts against it. Pure: moments are arguments.

use std::time::Instant;

/// Bytes that a client begins with (RFC 9113 §3.4).
const PREFACE: usize = 24;
const HEAD: usize = 9;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// DATA with less is hardly worth its frame.
const CRUMB: u32 = 128;
/// Bytes that the client took for which it may say one more frame: Go acknowledges every 4 KiB, on two windows.
const TAKEN: usize = 1024;
/// Frames without content that come with a request: windows, a priority, a ping.
const BESIDE: u32 = 4;

/// Frames without content at once, and more of them per second.
const IDLE: Allowance = Allowance {
    most: 1000,
    each_second: 100,
};
/// Streams that are reset at once, and more of them per second.
const RESETS: Allowance = Allowance {
    most: 400,
    each_second: 40,
};

/// Of what a client says too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Excess {
    /// Pings, settings, windows, priorities, crumbs of data.
    #[error("too many frames without content")]
    Idle,
    /// Requests that it takes back (CVE-2023-44487).
    #[error("too many requests that were taken back")]
    Resets,
}

/// Follows the frames that a client sends.
#[derive(Debug)]
pub struct Frames {
    preface: usize,
    head: [u8; HEAD],
    known: usize,
    /// Bytes of the frame that are to come.
    left: u32,
    kind: u8,
    /// The header block goes on in the next frame.
    open: bool,
    ended: u32,
    idle: Budget,
    resets: Budget,
}

impl Frames {
    /// A connection that begins `now`.
    pub fn new(now: Instant) -> Self {
        Frames {
            preface: PREFACE,
            head: [0; HEAD],
            known: 0,
            left: 0,
            kind: DATA,
            open: false,
            ended: 0,
            idle: Budget::new(IDLE, now),
            resets: Budget::new(RESETS, now),
        }
    }

    /// Takes the next bytes into account.
    ///
    /// # Errors
    /// There was too much of something: the connection should end.
    pub fn read(&mut self, mut bytes: &[u8], now: impl Fn() -> Instant) -> Result<(), Excess> {
        while !bytes.is_empty() {
            if self.preface > 0 {
                let some = self.preface.min(bytes.len());
                self.preface -= some;
                bytes = bytes.get(some..).unwrap_or_default();
            } else if self.left > 0 {
                let some = bytes.len().min(self.left as usize);
                self.left -= some as u32;
                bytes = bytes.get(some..).unwrap_or_default();
                self.ends();
            } else {
                let some = bytes.len().min(HEAD - self.known);
                let (piece, rest) = bytes.split_at(some);
                let room = self.head.get_mut(self.known..).unwrap_or_default();
                for (known, byte) in room.iter_mut().zip(piece) {
                    *known = *byte;
                }
                self.known += some;
                bytes = rest;
                if self.known == HEAD {
                    self.known = 0;
                    self.begins(&now)?;
                    self.ends();
                }
            }
        }
        Ok(())
    }

    fn begins(&mut self, now: &impl Fn() -> Instant) -> Result<(), Excess> {
        let [high, middle, low, kind, flags, ..] = self.head;
        self.left = u32::from_be_bytes([0, high, middle, low]);
        self.kind = kind;
        match kind {
            DATA if self.left >= CRUMB || flags & END_STREAM != 0 => self.idle.earn(1),
            HEADERS => {
                self.open = flags & END_HEADERS == 0;
                self.idle.earn(BESIDE);
            }
            // An empty one counts as well; h2 ends a block of too many.
            CONTINUATION => {
                self.open = flags & END_HEADERS == 0;
                self.idle.spend(Excess::Idle, now)?;
            }
            RST_STREAM => self.resets.spend(Excess::Resets, now)?,
            _ => self.idle.spend(Excess::Idle, now)?,
        }
        Ok(())
    }

    fn ends(&mut self) {
        if self.left == 0 && !self.open {
            self.ended = self.ended.wrapping_add(1);
        }
    }

    /// The client took so many bytes, and may say so.
    pub fn took(&mut self, bytes: usize) {
        self.idle.earn((bytes / TAKEN) as u32);
    }

    /// Whether the client owes the rest of something: its preface, a header block, or a frame that is no DATA.
    pub fn is_midway(&self) -> bool {
        let torn = self.left > 0 && self.kind != DATA;
        torn || self.open || self.known > 0 || self.ended == 0
    }

    /// How often something came to its end; wraps around.
    pub fn ended(&self) -> u32 {
        self.ended
    }
}

#[derive(Clone, Copy, Debug)]
struct Allowance {
    most: u32,
    each_second: u32,
}

/// What is left of an allowance.
#[derive(Debug)]
struct Budget {
    allowance: Allowance,
    spare: u32,
    since: Instant,
}

impl Budget {
    fn new(allowance: Allowance, now: Instant) -> Self {
        Budget {
            allowance,
            spare: allowance.most,
            since: now,
        }
    }

    fn earn(&mut self, some: u32) {
        self.spare = self.spare.saturating_add(some).min(self.allowance.most);
    }

    /// Looks at the clock only when everything is spent.
    fn spend(&mut self, excess: Excess, now: &impl Fn() -> Instant) -> Result<(), Excess> {
        if self.spare == 0 {
            let now = now();
            let passed = now.saturating_duration_since(self.since).as_secs_f64();
            self.earn((passed * f64::from(self.allowance.each_second)) as u32);
            if self.spare > 0 {
                self.since = now;
            }
        }
        self.spare = self.spare.checked_sub(1).ok_or(excess)?;
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::time::Duration;

    const PING: u8 = 6;
    const WINDOW_UPDATE: u8 = 8;

    fn frame(kind: u8, flags: u8, length: usize) -> Vec<u8> {
        let [.., high, middle, low] = length.to_be_bytes();
        let mut frame = vec![high, middle, low, kind, flags, 0, 0, 0, 1];
        frame.resize(HEAD + length, 0);
        frame
    }

    struct Client {
        frames: Frames,
        now: Instant,
    }

    impl Client {
        fn new() -> Self {
            let now = Instant::now();
            let mut frames = Frames::new(now);
            frames.read(&[b'x'; PREFACE], || now).unwrap();
            Client { frames, now }
        }

        fn says(&mut self, kind: u8, flags: u8, length: usize) -> Result<(), Excess> {
            let now = self.now;
            self.frames.read(&frame(kind, flags, length), || now)
        }
    }

    #[test]
    fn a_flood_of_frames_without_content_is_too_much() {
        let mut client = Client::new();
        for _ in 0..IDLE.most {
            client.says(PING, 0, 8).unwrap();
        }
        assert_eq!(client.says(PING, 0, 8), Err(Excess::Idle));
    }

    #[test]
    fn a_flood_of_resets_is_too_much_whatever_comes_between() {
        let mut client = Client::new();
        let mut flood = || {
            client.says(HEADERS, END_HEADERS, 20)?;
            client.says(RST_STREAM, 0, 4)
        };
        for _ in 0..RESETS.most {
            flood().unwrap();
        }
        assert_eq!(flood(), Err(Excess::Resets));
    }

    #[test]
    fn time_forgives() {
        let mut client = Client::new();
        for _ in 0..10 {
            for _ in 0..RESETS.most {
                client.says(RST_STREAM, 0, 4).unwrap();
            }
            client.now += Duration::from_secs(10);
        }
        for _ in 0..3600 {
            client.says(PING, 0, 8).unwrap();
            client.now += Duration::from_millis(20);
        }
    }

    #[test]
    fn a_push_in_kibibytes_with_pings_and_windows_between_goes_on_for_ever() {
        let mut client = Client::new();
        for _ in 0..100_000 {
            client.says(DATA, 0, 1024).unwrap();
            client.says(PING, 0, 8).unwrap();
        }
    }

    #[test]
    fn a_client_that_acknowledges_every_4_kib_twice_pulls_for_ever() {
        let mut client = Client::new();
        for _ in 0..100_000 {
            client.frames.took(4096);
            client.says(WINDOW_UPDATE, 0, 4).unwrap();
            client.says(WINDOW_UPDATE, 0, 4).unwrap();
        }
    }

    #[test]
    fn crumbs_of_data_are_too_much() {
        let mut client = Client::new();
        let mut crumbs = (0..=IDLE.most).map(|_| client.says(DATA, 0, 1));
        assert_eq!(crumbs.find(Result::is_err), Some(Err(Excess::Idle)));
    }

    #[test]
    fn pieces_read_as_the_whole_does() {
        let now = Instant::now();
        let mut frames = Frames::new(now);
        let mut talk = vec![b'x'; PREFACE];
        talk.extend(frame(4, 0, 12));
        talk.extend(frame(HEADERS, 0, 5));
        talk.extend(frame(CONTINUATION, END_HEADERS, 0));
        talk.extend(frame(DATA, END_STREAM, 300));
        for byte in &talk {
            frames.read(&[*byte], || now).unwrap();
        }
        assert_eq!(frames.ended(), 3);
        assert!(!frames.is_midway());
    }

    #[test]
    fn what_is_owed_is_the_rest_of_a_head_and_never_the_rest_of_a_body() {
        let mut client = Client::new();
        let now = client.now;
        assert!(
            client.frames.is_midway(),
            "settings are part of the preface"
        );
        client.says(4, 0, 0).unwrap();
        assert!(!client.frames.is_midway());
        client.says(HEADERS, 0, 5).unwrap();
        assert!(client.frames.is_midway());
        client.says(CONTINUATION, END_HEADERS, 5).unwrap();
        assert!(!client.frames.is_midway());
        let half = frame(DATA, 0, 1000);
        let half = half.get(..500).unwrap();
        client.frames.read(half, || now).unwrap();
        assert!(!client.frames.is_midway());
    }
}
