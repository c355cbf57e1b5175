"""The media hosts: links that are signed and expire, what they demand of a visitor, ranges, and everything that goes wrong there."""

from __future__ import annotations

import io
import re
import time
import urllib.parse

import av

from demo.replica.corpus import Post
from demo.replica.files import cover_of
from demo.replica.http import Request, Response
from demo.replica.site import Site, media_code

HOSTS = re.compile(
    r"(v\d+-webapp-prime\.tiktok\.com|.*\.tiktokcdn\.com|.*\.douyinvod\.com|.*\.douyinpic\.com|.*\.kwaicdn\.com|.*\.kwimgs\.com)"
)
MIRRORS = {
    "tiktok": ("v16-webapp-prime.tiktok.com", "v19-webapp-prime.tiktok.com"),
    "douyin": ("v3-web.douyinvod.com", "v26-web.douyinvod.com"),
    "kuaishou": ("v2.kwaicdn.com", "v4.kwaicdn.com"),
}
CODE = re.compile(r"(v0[0-9a-f]{26})")
ERROR_PAGE = (
    "<!DOCTYPE html><html><head><title>Access denied</title></head><body><h1>Access denied</h1><p>Please try again later.</p></body></html>"
)
OFFSITE = "https://collector.example.net/video.mp4"


def owns(host: str) -> bool:
    return bool(HOSTS.fullmatch(host))


def serve(site: Site, request: Request) -> Response:
    found = CODE.search(request.path)
    post = site.media_codes.get(found[1]) if found else None
    if post is None:
        return Response.text("no such object", status=404)
    if request.path.endswith((".jpeg", ".jpg", ".webp")):
        return Response(200, cover_of(site.body_path(post), site.covers), "image/jpeg", [("Cache-Control", "max-age=3600")])
    return refusal(site, request, post) or planted(site, request, post) or file_of(site, request, post)


# --- links ------------------------------------------------------------------------------------------------------
def link(site: Site, post: Post, mirror: int = 0, *, hops: int | None = None, sound: bool = False) -> str:
    """A signed address of the post's file on one of its mirrors; hops counts the redirects still to come."""
    expiry, host, code = site.expiry(post), MIRRORS[post.platform][mirror], media_code(post)
    left = hops if hops is not None else 2 if post.fault == "redirect_chain" else 0
    signature = site.sign(code, host, expiry, left)
    if post.platform == "douyin":
        kind = "audio_mp4" if sound else "video_mp4"
        return f"https://{host}/{signature}/{expiry:x}/video/tos/cn/tos-cn-ve-15/{code}/?a=6383&ch=26&cr=3&dr=0&cd=0%7C0%7C0%7C3&br=520&mime_type={kind}&qs=0&l={left}"
    if post.platform == "kuaishou":
        day = time.strftime("%Y/%m/%d/%H", time.gmtime(post.created))
        return f"https://{host}/upic/{day}/{code}_b_B{signature[:16]}.mp4?pkey={signature}{expiry:x}&tag=1-1751-h-0-{left}&clientCacheKey={post.id}_b.mp4&tt=b&ss=vp"
    kind = "audio_mp4" if sound else "video_mp4"
    return (
        f"https://{host}/video/tos/useast2a/tos-useast2a-ve-0068c004/{code}/?a=1988&bti=ODszNWYuMDE6&ch=0&cr=3&dr=0&lr=all&cd=0%7C0%7C0%7C"
        f"&br=520&mime_type={kind}&expire={expiry}&l={left}&policy=2&signature={signature}&tk=tt_chain_token"
    )


def links(site: Site, post: Post) -> list[str]:
    return [link(site, post, mirror) for mirror in range(len(MIRRORS[post.platform]))]


def cover(post: Post) -> str:
    code = media_code(post)
    if post.platform == "tiktok":
        return f"https://p16-sign-va.tiktokcdn.com/obj/tos-maliva-p-0068/{code}~tplv-dmt-logom.jpeg?x-expires=1999999999&x-signature=ok%3D"
    if post.platform == "douyin":
        return f"https://p3-pc-sign.douyinpic.com/image-cut-tos-priv/{code}~tplv-dy-cropcenter.jpeg?x-expires=1999999999&x-signature=ok%3D"
    return f"https://p2.a.kwimgs.com/upic/{code}_low.jpg?tag=1-1751-h-0&clientCacheKey={post.id}_low.jpg&bp=10004"


def play_redirect(site: Site, request: Request) -> Response:
    """Douyin's API address of a file: a redirect to the media host that works."""
    post = site.media_codes.get(request.query.get("video_id", ""))
    return Response.redirect(link(site, post, 1)) if post else Response.text("", status=404)


def signed(request: Request, platform: str) -> tuple[int, str, str]:
    """Expiry, hops left and signature, as the link carries them; zeros where it does not."""
    if platform == "douyin":
        _, signature, expiry, *_ = [*request.path.split("/"), "0", "0"]
        left = request.query.get("l", "0")
    elif platform == "kuaishou":
        key = request.query.get("pkey", "")
        signature, expiry, left = key[:32], key[32:] or "0", request.query.get("tag", "0").rsplit("-", 1)[-1]
    else:
        signature, expiry, left = request.query.get("signature", ""), f"{request.number('expire'):x}", request.query.get("l", "0")
    return int(expiry, 16) if re.fullmatch("[0-9a-f]+", expiry) else 0, left, signature


def refusal(site: Site, request: Request, post: Post) -> Response | None:
    """403 or 410 for a visitor who lacks what this host demands: a browser's name, the page as Referer, the page's cookie, a valid link."""
    expiry, left, signature = signed(request, post.platform)
    forged = signature != site.sign(media_code(post), request.host, expiry, left)
    if site.demands("signature_403", request, missing=forged, post=post):
        return Response.text("signature mismatch", status=403)
    if expiry <= site.clock():
        if not site.strikes("expired_link", post, request):
            site.log("expired_403", request, post=post)
        return Response.text("link expired", status=410 if post.platform == "kuaishou" else 403)
    no_referer = post.platform != "douyin" and not is_own(request.headers.get("Referer") or "", post.platform)
    if site.demands("user_agent_403", request, missing=request.is_library, post=post):
        return Response.text("forbidden", status=403)
    if site.demands("referer_403", request, missing=no_referer, post=post):
        return Response.text("forbidden", status=403)
    if site.demands("cookie_403", request, missing=post.platform == "tiktok" and "tt_chain_token" not in request.cookies, post=post):
        return Response.text("forbidden", status=403)
    return None


def is_own(referer: str, platform: str) -> bool:
    host = urllib.parse.urlsplit(referer).hostname or ""
    domains = {"tiktok": ("tiktok.com",), "kuaishou": ("kuaishou.com", "chenzhongtech.com")}.get(platform, ())
    return any(host == domain or host.endswith(f".{domain}") for domain in domains)


# --- faults -----------------------------------------------------------------------------------------------------
def planted(site: Site, request: Request, post: Post) -> Response | None:
    """What a fault makes of this request, or nothing."""
    first_mirror = request.host == MIRRORS[post.platform][0]
    left = int(signed(request, post.platform)[1] or 0)
    if left and site.strikes("redirect_chain", post, request):
        return Response.redirect(link(site, post, left % 2, hops=left - 1), status=302 if left % 2 else 301)
    if first_mirror and site.strikes("dead_mirror", post, request):
        return Response.text("upstream gone", status=503)
    if site.strikes("html_as_mp4", post, request):
        return Response(200, ERROR_PAGE.encode(), "video/mp4")
    if site.strikes("redirect_loop", post, request):
        return Response.redirect(link(site, post, int(first_mirror)))
    if site.strikes("offsite_redirect", post, request):
        return Response.redirect(OFFSITE)
    if request.headers.get("Range") and site.strikes("range_416", post, request, times=1):
        return Response(416, b"", "text/plain", [("Content-Range", f"bytes */{post.size}")])
    return None


def file_of(site: Site, request: Request, post: Post) -> Response:
    body = site.body_path(post).read_bytes()
    if "audio" in request.query.get("mime_type", ""):
        return ranged(request, sound_of(body), "audio/mp4")
    heedless = post.fault == "no_range" and bool(request.headers.get("Range")) and site.strikes("no_range", post, request)
    response = ranged(request, body, "video/mp4", heed=not heedless)
    if request.method == "HEAD":
        return response
    if site.strikes("wrong_type", post, request):
        response.content_type = "text/plain"
    if site.strikes("slow_drip", post, request, times=1):
        response.drip_bytes = max(1, len(response.body) // 30)
    whole = "Range" not in request.headers
    if whole and site.strikes("length_mismatch", post, request, times=1):
        response.claimed_length = len(response.body) + 4096
    if whole and first_cut(site, request, post):
        response.cut_at = len(response.body) * 6 // 10
    return response


def first_cut(site: Site, request: Request, post: Post) -> bool:
    """Whether the connection breaks this time: once, for the faults that only show when a download has to be resumed."""
    if site.strikes("cut_60", post, request, times=1):
        return True
    return post.fault in ("no_range", "range_416") and site.once("cut", post.key)


def ranged(request: Request, body: bytes, content_type: str, *, heed: bool = True) -> Response:
    """The whole body, or the part that a single Range asks for (206), or 416 where there is no such part."""
    headers = [
        ("Accept-Ranges", "bytes" if heed else "none"),
        ("ETag", f'"{len(body):x}-{body[-16:].hex()[:16]}"'),
        ("Last-Modified", "Sat, 01 Mar 2025 08:00:00 GMT"),
    ]
    wanted = re.fullmatch(r"bytes=(\d*)-(\d*)", request.headers.get("Range") or "")
    if not heed or not wanted or not (wanted[1] or wanted[2]):
        return Response(200, body, content_type, headers)
    size = len(body)
    start = int(wanted[1]) if wanted[1] else max(0, size - int(wanted[2]))
    end = min(size - 1, int(wanted[2])) if wanted[1] and wanted[2] else size - 1
    if start >= size or start > end:
        return Response(416, b"", "text/plain", [("Content-Range", f"bytes */{size}")])
    return Response(206, body[start : end + 1], content_type, [*headers, ("Content-Range", f"bytes {start}-{end}/{size}")])


def sound_of(body: bytes) -> bytes:
    """The sound track alone, as the platforms' music links give it; empty where there is none."""
    out = io.BytesIO()
    with av.open(io.BytesIO(body), "r") as media:
        if not media.streams.audio:
            return b""
        source = media.streams.audio[0]
        with av.open(out, "w", format="ipod") as target:
            stream = target.add_stream_from_template(source)
            for packet in media.demux(source):
                if packet.dts is not None:
                    packet.stream = stream
                    target.mux(packet)
    return out.getvalue()
