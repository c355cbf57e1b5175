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

/** Asks for the password, and for a code where the account wants one, until it is right. Nothing on the page is lost meanwhile.
 *  Resolves true, or false when put off. */
export async function signInAgain(dialog, { urls, username, words }) {
  const error = dialog.querySelector("[data-error]");
  error.hidden = true;
  let step = "password";
  for (;;) {
    show(dialog, step);
    const answer = await ask(dialog);
    if (!answer) return false;
    try {
      const now = await (step === "code" ? signIn(urls.code, { code: answer.code }) : signIn(urls.sign_in, { username, password: answer.password }));
      if (now.signed_in) return true;
      error.hidden = now.code_wanted && step === "password";
      error.textContent = step === "code" ? words.wrongCode : words.wrongPassword;
      step = now.code_wanted ? "code" : "password";
    } catch (problem) {
      if (!(problem instanceof Offline)) throw problem;
      error.textContent = words.noConnection;
      error.hidden = false;
    }
  }
}

/** The dialog with the field of this step, empty; the other is hidden and asks for nothing. */
function show(dialog, step) {
  for (const field of dialog.querySelectorAll("[data-step]")) {
    const input = field.querySelector("input");
    field.hidden = field.dataset.step !== step;
    input.disabled = field.hidden;
    input.autofocus = !field.hidden;
    input.value = "";
  }
}

export function wireClosers(root) {
  for (const button of root.querySelectorAll("[data-close]")) {
    button.addEventListener("click", () => button.closest("dialog").close());
  }
}
