// Honest time: only while the page is visible and the person has done something in the last minute.

const IDLE_MS = 60_000;
const TICK_MS = 1000;

export class Clock {
  /** onBreak is called once each time `breakMinutes` of work have passed without a pause of five minutes. */
  constructor({ breakMinutes, onBreak, now = () => performance.now() }) {
    this.now = now;
    this.breakMs = breakMinutes * 60_000;
    this.onBreak = onBreak;
    this.clipMs = 0; // on the clip in front
    this.fromMs = 0; // of which earlier visits
    this.stretchMs = 0; // since the last pause
    this.lastTick = now();
    this.lastSign = now();
    for (const kind of ["keydown", "pointerdown", "pointermove", "wheel", "touchstart"]) {
      document.addEventListener(kind, () => this.sign(), { passive: true });
    }
    setInterval(() => this.tick(), TICK_MS);
  }

  sign() {
    if (this.now() - this.lastSign > 5 * 60_000) this.stretchMs = 0; // that was a pause
    this.lastSign = this.now();
  }

  tick() {
    const now = this.now();
    const passed = Math.min(now - this.lastTick, 2 * TICK_MS); // a sleeping machine does not count
    this.lastTick = now;
    if (document.hidden || now - this.lastSign > IDLE_MS) return;
    this.clipMs += passed;
    this.stretchMs += passed;
    if (this.breakMs && this.stretchMs >= this.breakMs) {
      this.stretchMs = 0;
      this.onBreak();
    }
  }

  /** Starts counting for another clip; `already` is what an earlier visit counted. */
  startClip(already = 0) {
    this.clipMs = this.fromMs = already;
  }

  get activeMs() {
    return Math.round(this.clipMs);
  }
}
