// Runs a check once for each broker address: the connector and the client may use different ones.
import type { Finding } from '../check.ts'
import type { DoctorContext, Side } from '../context.ts'

/** Calls `check` for one side of each different address, and collects the findings. */
export async function eachPlace(
  { sides }: DoctorContext,
  check: (side: Side) => Promise<Finding> | Finding,
): Promise<Finding[]> {
  const places = new Map<string, Side>()
  for (const side of sides) {
    const key = JSON.stringify([side.target.url.href, side.target.tls])
    if (!places.has(key)) places.set(key, side)
  }
  return await Promise.all([...places.values()].map(async (side) => check(side)))
}
