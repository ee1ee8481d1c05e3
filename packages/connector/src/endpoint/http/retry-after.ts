// Reads Retry-After (RFC 9110 §10.2.3): a number of seconds, or a date.

// Longer waits are capped at a day, because timers cannot wait longer than 24.8 days.
const RETRY_AFTER_MAX_MS = 24 * 60 * 60 * 1000
// RFC 9110 §5.6.7: IMF-fixdate, and the two obsolete formats that recipients must accept. The last format
// has no time zone.
const DATE = /^[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT$/
const RFC850_DATE = /^[A-Z][a-z]{5,8}, \d\d-[A-Z][a-z]{2}-\d\d \d\d:\d\d:\d\d GMT$/
const ASCTIME_DATE = /^[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}$/

/**
 * Returns the time to wait in milliseconds, at most a day, or undefined if the field is invalid. A date is compared
 * with `date`, the response's Date field, so that the connector's clock does not matter.
 */
export function retryAfterMs(value: string | undefined, date: string | undefined): number | undefined {
  if (value === undefined) return undefined
  if (/^\d+$/.test(value)) return Math.min(Number(value) * 1000, RETRY_AFTER_MAX_MS)
  const untilMs = parseDate(value)
  if (untilMs === undefined) return undefined
  const nowMs = parseDate(date) ?? Date.now()
  return Math.min(Math.max(untilMs - nowMs, 0), RETRY_AFTER_MAX_MS)
}

function parseDate(value: string | undefined): number | undefined {
  if (value === undefined) return undefined
  const isAsctime = ASCTIME_DATE.test(value)
  if (!isAsctime && !DATE.test(value) && !RFC850_DATE.test(value)) return undefined
  const timeMs = Date.parse(isAsctime ? `${value} GMT` : value)
  return Number.isNaN(timeMs) ? undefined : timeMs
}
