// Reads the members of an OpenAI request. Errors name the member, as `param`.
import { isJsonObject, JsonSyntaxError, parseJson, type Json } from '@inferwire/protocol'
import { mediaTypeOf, type Call } from '../call.ts'
import { openAiFailure } from './openai-failure.ts'

/** A request's JSON object. A member that is `null` counts as absent, as in OpenAI's API. */
export class Members {
  readonly #object: Readonly<Record<string, Json | undefined>>

  constructor(object: Readonly<Record<string, Json | undefined>>) {
    this.#object = object
  }

  /** Reads the body of a request. @throws Failure 400, 413 or 415 */
  static async read(call: Call): Promise<Members> {
    const bytes = await call.body()
    const mediaType = mediaTypeOf(call.header('content-type') ?? '')
    if (mediaType !== 'application/json') {
      throw openAiFailure(415, `The Content-Type is "${mediaType}"; send application/json.`)
    }
    try {
      const body = parseJson(bytes)
      if (isJsonObject(body)) return new Members(body)
    } catch (error) {
      if (!(error instanceof JsonSyntaxError)) throw error
      throw openAiFailure(400, `The body is not JSON: ${error.message}`)
    }
    throw openAiFailure(400, 'The body is not a JSON object.')
  }

  /** Returns a member; undefined if it is absent or `null`. */
  get(name: string): Json | undefined {
    return this.#object[name] ?? undefined
  }

  /** Returns a string. @throws Failure 400 if it is absent or not a string */
  string(name: string): string {
    const value = this.get(name)
    if (typeof value === 'string') return value
    throw openAiFailure(
      400,
      value === undefined ? `"${name}" is missing.` : `"${name}" is not a string.`,
      name,
    )
  }

  /** Returns true or false. @throws Failure 400 if it is neither */
  boolean(name: string): boolean {
    const value = this.get(name) ?? false
    if (typeof value === 'boolean') return value
    throw openAiFailure(400, `"${name}" is not true or false.`, name)
  }

  /** Returns a number in a range, both ends included. @throws Failure 400 */
  number(name: string, min: number, max: number): number | undefined {
    const value = this.get(name)
    if (value === undefined) return undefined
    if (typeof value === 'number' && value >= min && value <= max) return value
    throw openAiFailure(400, `"${name}" is not a number from ${min} to ${max}.`, name)
  }

  /** Returns an integer in a range, both ends included. @throws Failure 400 */
  integer(name: string, min: number, max: number): number | undefined {
    const value = this.get(name)
    if (value === undefined) return undefined
    if (Number.isSafeInteger(value) && Number(value) >= min && Number(value) <= max) return Number(value)
    throw openAiFailure(400, `"${name}" is not an integer from ${min} to ${max}.`, name)
  }

  /**
   * Returns the members of an object; no members if the object is absent. @throws Failure 400 if it is not an object
   */
  object(name: string): Members {
    const value = this.get(name) ?? {}
    if (isJsonObject(value)) return new Members(value)
    throw openAiFailure(400, `"${name}" is not an object.`, name)
  }

  /**
   * Refuses a member that this server does not implement, if its value would change the answer.
   * @param neutral for each member, the values that do not change the answer
   */
  refuse(neutral: Readonly<Record<string, readonly Json[]>>): void {
    for (const [name, values] of Object.entries(neutral)) {
      const value = this.get(name)
      const isEmpty = Array.isArray(value) && value.length === 0
      if (value === undefined || isEmpty || values.includes(value)) continue
      throw openAiFailure(400, `This server does not implement "${name}".`, name)
    }
  }
}
