import ms from "ms"; // an npm package

import { greeting } from "./greeting.js";

interface Reminder {
  after: number; // milliseconds
}

const reminder: Reminder = { after: ms("2 days") };
console.log(`${greeting("TypeScript")}, again in ${ms(reminder.after, { long: true })}`);
