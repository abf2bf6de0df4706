// Questions before a number of the walk is shown, and the score.
import { $, format, put } from "../shared/page.js";
import { change, compute, state } from "./state.js";

const score = { right: 0, asked: 0 };
let asking = null;

// Asks for the value that the step numbered `to` will show.
export function ask(to, name, formula, value) {
  asking = { to, value };
  put($("asked"), `Next: ${name} = ${formula}. Its ${state.ask}?`);
  $("signs").hidden = state.ask !== "sign";
  $("guess").hidden = state.ask !== "number";
  $("question").hidden = false;
  $("guessed").value = "";
  (state.ask === "sign" ? $("signs").firstElementChild : $("guessed")).focus();
}

export function stopAsking() {
  asking = null;
  $("question").hidden = true;
}

$("question").addEventListener("submit", event => {
  event.preventDefault();
  if (!asking) return;
  const { value, to } = asking;
  const guess = state.ask === "sign" ? Number(event.submitter.value) : parseFloat($("guessed").value);
  const right =
    state.ask === "sign"
      ? guess === Math.sign(Number(value.toFixed(4)))
      : Math.abs(guess - value) <= Math.max(0.005, 0.02 * Math.abs(value));
  score.asked++;
  score.right += right;
  $("score").hidden = false;
  $("score").className = right ? "small ok" : "small bad";
  put($("score"), `${right ? "Right" : "No"}: it is ${format(value)}. Your score: ${score.right} of ${score.asked}.`);
  stopAsking();
  change({ step: to });
  $(to <= compute().F ? "forward" : "back").focus();
});
