// Questions before a number of the walk is shown, and the score.
import { $, format, put } from "../shared/page.js";
import { change, compute, onChange, state } from "./state.js";

const score = { right: 0, asked: 0 };
let asking = null;

const show = ([name, formula]) => put($("asked"), `Next: ${name} = ${formula}. Its ${state.ask}?`);

// Asks for the value that the step numbered `to` will show; lineOf() is its line, for the numbers as they are then.
export function ask(to, lineOf) {
  asking = { to, lineOf };
  show(lineOf());
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
  const { to, lineOf } = asking;
  const value = lineOf().at(-1);
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

onChange(() => asking && show(asking.lineOf()));
