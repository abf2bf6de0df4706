import { $, data } from "../shared/page.js";

$("data").dataset.read = Object.keys(data).length;
