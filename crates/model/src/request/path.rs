//! Segments of a path, and what could be read in two ways in them.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::{InvalidRequest, query::has_broken_encoding};

/// The path's segments, percent-decoded, with what was odd about them.
pub(super) struct Segments<'a> {
    pub(super) kept: Vec<Cow<'a, str>>,
    /// The first segment that can be read twice, and how.
    odd: Option<(usize, InvalidRequest)>,
}

impl<'a> Segments<'a> {
    pub(super) fn read(path: &'a str) -> Result<Self, InvalidRequest> {
        let mut odd = None;
        // `OPTIONS *`, or a CONNECT's bare authority.
        let inner = path.strip_prefix('/').ok_or(InvalidRequest::NoPath)?;
        let inner = inner.strip_suffix('/').unwrap_or(inner);
        let mut kept = Vec::with_capacity(8);
        if inner.is_empty() {
            return Ok(Self {
                kept,
                odd: (path.len() > 1).then_some((0, InvalidRequest::EmptySegment)),
            });
        }
        for raw in inner.split('/') {
            let segment = decode(raw)?;
            if segment == "." || segment == ".." {
                return Err(InvalidRequest::DotSegment);
            }
            // `a%2F..%2Fb` in a workload's own path would still climb if somebody behind it decodes.
            if segment.contains(['/', '\\']) {
                if segment.split(['/', '\\']).any(|s| s == "..") {
                    return Err(InvalidRequest::DotSegment);
                }
                odd.get_or_insert((kept.len(), InvalidRequest::EncodedSlash));
            }
            if segment.is_empty() {
                odd.get_or_insert((kept.len(), InvalidRequest::EmptySegment));
            }
            kept.push(segment);
        }
        Ok(Self { kept, odd })
    }

    pub(super) fn refuse_odd_before(&self, workload_path: usize) -> Result<(), InvalidRequest> {
        match self.odd {
            Some((at, why)) if at < workload_path => Err(why),
            _ => Ok(()),
        }
    }
}

pub(super) fn decode(raw: &str) -> Result<Cow<'_, str>, InvalidRequest> {
    if raw.bytes().any(|b| b.is_ascii_control()) {
        return Err(InvalidRequest::ControlCharacter);
    }
    if !raw.contains('%') {
        return Ok(Cow::Borrowed(raw));
    }
    if has_broken_encoding(raw) {
        return Err(InvalidRequest::BadEncoding);
    }
    let decoded = percent_decode_str(raw)
        .decode_utf8()
        .map_err(|_| InvalidRequest::BadEncoding)?;
    if decoded.chars().any(char::is_control) {
        return Err(InvalidRequest::ControlCharacter);
    }
    Ok(decoded)
}
