// The clip, and the next two already loading behind it.
import { read, write } from "./store.js";

const SOUND_KEY = "workbench.sound";
const SPEEDS = [0.25, 0.5, 0.75, 1, 1.25, 1.5, 2];
const FRAME_S = 1 / 30; // until the clip's own rate has been seen

export class Player extends EventTarget {
  /** Events: hud {text} (what a key did), soundblocked, broken, started {ms}. */
  constructor(stage) {
    super();
    this.stage = stage;
    this.clips = new Map(); // url → <video>
    this.video = null;
    this.sound = { muted: false, volume: 1, rate: 1, ...read(SOUND_KEY, {}) };
    this.frame = FRAME_S;
    this.veiled = false;
    for (const kind of ["pointerdown", "keydown"]) document.addEventListener(kind, () => this.unblockSound());
  }

  /** Shows this clip (at once when it was preloaded) and loads `nextUrls` behind it. `veiled`: blurred, silent and still until reveal(). */
  show(url, nextUrls, { veiled = false, askedAt = performance.now() } = {}) {
    const video = this.load(url);
    for (const [other, element] of this.clips) {
      if (other !== url && !nextUrls.includes(other)) this.drop(other);
      else if (element !== video) this.rest(element);
    }
    this.video = video;
    this.veiled = veiled;
    this.frame = FRAME_S;
    video.classList.add("current");
    video.removeAttribute("aria-hidden");
    this.stage.classList.toggle("veiled", veiled);
    this.applySound();
    if (!veiled) this.start(askedAt);
    this.preload(nextUrls);
  }

  get failed() {
    return Boolean(this.video?.error);
  }

  preload(urls) {
    for (const url of urls) this.load(url);
  }

  clear() {
    for (const url of [...this.clips.keys()]) this.drop(url);
    this.video = null;
    this.stage.classList.remove("veiled");
  }

  load(url) {
    if (this.clips.get(url)?.error) this.drop(url); // failed while it was loading ahead: once more
    if (this.clips.has(url)) return this.clips.get(url);
    const video = document.createElement("video");
    Object.assign(video, { src: url, loop: true, playsInline: true, preload: "auto", muted: true, disablePictureInPicture: true });
    video.setAttribute("aria-hidden", "true");
    video.addEventListener("error", () => {
      if (video === this.video) this.dispatchEvent(new Event("broken"));
    });
    this.clips.set(url, video);
    this.stage.prepend(video);
    return video;
  }

  rest(video) {
    video.pause();
    video.muted = true;
    video.classList.remove("current");
    video.setAttribute("aria-hidden", "true");
  }

  drop(url) {
    const video = this.clips.get(url);
    this.clips.delete(url);
    video.pause();
    video.removeAttribute("src"); // gives the connection and the memory back
    video.load();
    video.remove();
  }

  async start(askedAt) {
    const video = this.video;
    video.addEventListener("playing", () => this.started(video, askedAt), { once: true });
    try {
      await video.play();
    } catch (error) {
      if (error.name !== "NotAllowedError" || video !== this.video) return; // AbortError: the next clip came; else see "error"
      video.muted = true; // no sound before the first gesture: play silently and say so
      this.soundBlocked = true;
      this.dispatchEvent(new Event("soundblocked"));
      await video.play().catch(() => {});
    }
  }

  started(video, askedAt) {
    if (video !== this.video) return;
    const ms = Math.round(performance.now() - askedAt);
    this.stage.dataset.startedMs = ms;
    this.dispatchEvent(new CustomEvent("started", { detail: { ms } }));
    this.watchFrames(video);
  }

  // The time between two frames, as the clip really has it, for the frame step.
  watchFrames(video) {
    if (!video.requestVideoFrameCallback) return;
    let last = null;
    let seen = 0;
    const look = (now, { mediaTime }) => {
      const gap = last === null ? 0 : mediaTime - last;
      if (gap > 0.005 && gap < 0.2) this.frame = seen === 0 ? gap : Math.min(this.frame, gap);
      last = mediaTime;
      seen += 1;
      if (video === this.video && seen < 12) video.requestVideoFrameCallback(look);
    };
    video.requestVideoFrameCallback(look);
  }

  unblockSound() {
    if (!this.soundBlocked) return;
    this.soundBlocked = false;
    this.applySound();
    this.dispatchEvent(new Event("soundunblocked"));
  }

  reveal() {
    if (!this.veiled) return;
    this.veiled = false;
    this.stage.classList.remove("veiled");
    this.start(performance.now());
  }

  applySound() {
    if (!this.video) return;
    this.video.muted = this.sound.muted || Boolean(this.soundBlocked);
    this.video.volume = this.sound.volume;
    this.video.playbackRate = this.sound.rate;
    this.dispatchEvent(new Event("sound"));
  }

  remember(change, text) {
    Object.assign(this.sound, change);
    write(SOUND_KEY, this.sound);
    this.applySound();
    this.hud(text);
  }

  hud(text) {
    this.dispatchEvent(new CustomEvent("hud", { detail: { text } }));
  }

  // --- what keys and buttons do ---

  togglePlay() {
    if (!this.video) return;
    if (this.veiled) this.reveal();
    else if (this.video.paused) this.start(performance.now());
    else this.video.pause();
    this.hud(this.video.paused ? "⏸" : "▶");
  }

  seek(seconds) {
    const video = this.video;
    if (!video?.duration) return;
    video.currentTime = (video.currentTime + seconds + video.duration) % video.duration;
    this.hud(`${video.currentTime.toFixed(1)} s`);
  }

  step(frames) {
    if (!this.video?.duration) return;
    this.video.pause();
    const last = this.video.duration - this.frame / 2;
    this.video.currentTime = Math.min(Math.max(this.video.currentTime + frames * this.frame, 0), last);
    this.hud(`${this.video.currentTime.toFixed(2)} s`);
  }

  speed(direction) {
    const at = SPEEDS.findIndex((speed) => speed >= this.sound.rate);
    const rate = SPEEDS[Math.min(Math.max(at + direction, 0), SPEEDS.length - 1)];
    this.remember({ rate }, `${rate}×`);
  }

  toggleMute() {
    const muted = !this.sound.muted;
    this.remember({ muted }, muted ? "🔇" : "🔊");
  }

  volume(change) {
    const volume = Math.min(Math.max(Math.round((this.sound.volume + change) * 10) / 10, 0), 1);
    this.remember({ volume, muted: volume === 0 }, `🔊 ${Math.round(volume * 100)} %`);
  }

  fullScreen() {
    if (document.fullscreenElement) document.exitFullscreen();
    else this.stage.requestFullscreen?.().catch(() => {});
  }
}
