// Reads the token counts of a reply.
import { PROPERTY, userProperty } from '@inferwire/protocol'

/** The token counts that a language model's server reported for a request. */
export interface TokenUsage {
  readonly promptTokens: number | undefined
  readonly completionTokens: number | undefined
}

/** Returns the counts from the user properties of a reply; undefined if there are none. */
export function usageOf(userProperties: readonly string[] | undefined): TokenUsage | undefined {
  const promptTokens = countOf(userProperty(userProperties, PROPERTY.promptTokens))
  const completionTokens = countOf(userProperty(userProperties, PROPERTY.completionTokens))
  if (promptTokens === undefined && completionTokens === undefined) return undefined
  return { promptTokens, completionTokens }
}

function countOf(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined
}
