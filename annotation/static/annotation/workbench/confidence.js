// How sure the person is, 0–1 in tenths: a strip to tap, or the digits (1 = 0.1 … 9 = 0.9, 0 = 1).

export class Confidence extends EventTarget {
  constructor(root) {
    super();
    this.inputs = [...root.querySelectorAll("input[type=radio]")];
    root.addEventListener("change", () => this.dispatchEvent(new Event("pick")));
    root.addEventListener("click", (event) => {
      if (event.detail > 0) document.activeElement?.blur?.();
    });
  }

  get value() {
    const chosen = this.inputs.find((input) => input.checked);
    return chosen ? Number(chosen.value) : null;
  }

  set(value, quietly = false) {
    for (const input of this.inputs) input.checked = value !== null && Math.abs(Number(input.value) - value) < 0.05;
    if (!quietly) this.dispatchEvent(new Event("pick"));
  }

  digit(key) {
    if (!/^[0-9]$/.test(key)) return false;
    this.set(key === "0" ? 1 : Number(key) / 10);
    return true;
  }
}
