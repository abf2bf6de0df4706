// The page: every view draws itself whenever the state changes.
import { $, data } from "../shared/page.js";
import { change, load } from "./state.js";
import {} from "./controls.js";
import {} from "./graph.js";
import {} from "./walk.js";
import {} from "./panel.js";
import {} from "./cloud.js";
import {} from "./break.js";
import {} from "./train.js";

$("version").textContent = data.version;
addEventListener("hashchange", load);
addEventListener("resize", () => change({}));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => change({}));
load();
