//! The form that a file is uploaded with (`multipart/form-data`, RFC 7578): as much of it as the SDKs send.

/// A part: its name and its bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part<'b> {
    pub(super) name: String,
    pub(super) content: &'b [u8],
}

/// The parts. None: this isn't such a form, or was cut off.
pub(super) fn parts<'b>(content_type: &str, body: &'b [u8]) -> Option<Vec<Part<'b>>> {
    let boundary = parameter(content_type.strip_prefix("multipart/form-data;")?, "boundary")?;
    let first = format!("--{boundary}");
    let between = format!("\r\n--{boundary}");
    let mut rest = body.strip_prefix(first.as_bytes())?;
    let mut parts = Vec::new();
    while !rest.starts_with(b"--") {
        rest = rest.strip_prefix(b"\r\n")?;
        let end = find(rest, between.as_bytes())?;
        parts.push(part(&rest[..end])?);
        rest = &rest[end + between.len()..];
    }
    Some(parts)
}

fn part(bytes: &[u8]) -> Option<Part<'_>> {
    let end = find(bytes, b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    let name = head.lines().find_map(|line| {
        let (header, value) = line.split_once(':')?;
        let value = value.trim().strip_prefix("form-data;")?;
        header
            .eq_ignore_ascii_case("content-disposition")
            .then(|| parameter(value, "name"))?
    })?;
    Some(Part {
        name: name.to_owned(),
        content: &bytes[end + 4..],
    })
}

/// `name=value` or `name="value"` among others.
fn parameter<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    text.split(';').find_map(|pair| {
        let (key, value) = pair.trim().split_once('=')?;
        (key == name).then(|| value.trim_matches('"'))
    })
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPE: &str = "multipart/form-data; boundary=xyz";

    #[test]
    fn the_parts_of_a_form_are_found() {
        let body = b"--xyz\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\nvalue\r\n\
            --xyz\r\ncontent-disposition: form-data; name=\"file\"; filename=\"f\"\r\nContent-Type: a/b\r\n\r\n\r\n\0--x\r\n--xyz--\r\n";
        let parts = parts(TYPE, body).unwrap();
        let found: Vec<(&str, &[u8])> = parts.iter().map(|p| (p.name.as_str(), p.content)).collect();
        assert_eq!(found, [("key", &b"value"[..]), ("file", b"\r\n\0--x")]);
    }

    #[test]
    fn what_is_no_form_or_was_cut_off_has_no_parts() {
        let body = b"--xyz\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\nvalue\r\n--xyz--";
        assert!(parts(TYPE, body).is_some());
        for length in 0..body.len() {
            assert_eq!(parts(TYPE, &body[..length]), None, "{length}");
        }
        assert_eq!(parts("text/plain", body), None);
        assert_eq!(parts("multipart/form-data; boundary=other", body), None);
    }
}
