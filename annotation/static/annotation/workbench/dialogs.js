// The dialogs of the workbench: signing in again in place, skipping, flagging, instructions, and what another tab did.
import { Offline, signIn } from "./api.js";

/** Opens the dialog; resolves with the data of its form when submitted, null when closed. */
function ask(dialog) {
  const form = dialog.querySelector("form");
  return new Promise((resolve) => {
    let answer = null;
    const onSubmit = (event) => {
      event.preventDefault();
      answer = Object.fromEntries(new FormData(form));
      dialog.close();
    };
    form.addEventListener("submit", onSubmit);
    dialog.addEventListener(
      "close",
      () => {
        form.removeEventListener("submit", onSubmit);
        resolve(answer);
      },
      { once: true }
    );
    if (!dialog.open) dialog.showModal();
  });
}

export const askForReason = (dialog) => {
  dialog.querySelector("form").reset();
  return ask(dialog);
};

/** Asks for the password until it is right. Nothing on the page is lost meanwhile. Resolves true, or false when put off. */
export async function signInAgain(dialog, { url, username, words }) {
  const error = dialog.querySelector("[data-error]");
  const password = dialog.querySelector("input[type=password]");
  error.hidden = true;
  for (;;) {
    password.value = "";
    const answer = await ask(dialog);
    if (!answer) return false;
    try {
      if (await signIn(url, username, answer.password)) return true;
      error.textContent = words.wrongPassword;
    } catch (problem) {
      if (!(problem instanceof Offline)) throw problem;
      error.textContent = words.noConnection;
    }
    error.hidden = false;
  }
}

export function wireClosers(root) {
  for (const button of root.querySelectorAll("[data-close]")) {
    button.addEventListener("click", () => button.closest("dialog").close());
  }
}
