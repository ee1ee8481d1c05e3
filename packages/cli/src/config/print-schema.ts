// Runs `inferwire config schema`.
import { configJsonSchema } from '@inferwire/connector'

/** Prints the JSON Schema of the configuration file. */
export function printSchema(): void {
  process.stdout.write(`${JSON.stringify(configJsonSchema(), null, 2)}\n`)
}
