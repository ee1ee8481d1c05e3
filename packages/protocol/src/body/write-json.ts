// Writes a JSON body. JSON.stringify is unsuitable: it turns NaN into null, a typed array into an object with numbered
// members, and a Map into {}. It also refuses bigints, which INT64 tensors need.

// JSON.stringify throws a RangeError after a few thousand levels; model servers accept far fewer.
const DEPTH_MAX = 1_000
const IDENTIFIER = /^[A-Za-z_$][\w$]*$/

/**
 * Returns a value as JSON text without spaces. Writes bigints with all their digits, and typed arrays as lists. As with
 * JSON.stringify, the result of an object's `toJSON` replaces the object, and undefined members are omitted.
 * @throws TypeError with the position of a value that JSON cannot represent (NaN, a function, an invalid Date, a Map);
 * such a value is never replaced
 */
export function writeJson(value: unknown): string {
  return new Writer().text(value)
}

class Writer {
  // The current position, for errors.
  readonly #path: (string | number)[] = []

  text(given: unknown): string {
    return this.#written(this.#resolved(given))
  }

  #written(value: unknown): string {
    if (typeof value === 'string') return JSON.stringify(value)
    if (typeof value === 'number') {
      return Number.isFinite(value) ? String(value) : this.#refuse(`${value}, which JSON cannot represent`)
    }
    if (typeof value === 'bigint' || typeof value === 'boolean' || value === null) return String(value)
    if (typeof value === 'object') return this.#container(value)
    return this.#refuse(value === undefined ? 'undefined' : `a ${typeof value}`)
  }

  // Typed arrays are checked first: Buffer has its own toJSON, which returns an object.
  #resolved(value: unknown): unknown {
    if (typeof value !== 'object' || value === null || isTypedArray(value)) return value
    // The `toJSON` method of an invalid Date would return null.
    if (value instanceof Date && Number.isNaN(value.getTime())) this.#refuse('an invalid Date')
    if ('toJSON' in value && typeof value.toJSON === 'function') {
      return (value.toJSON as (key: string) => unknown)(String(this.#path.at(-1) ?? ''))
    }
    return value
  }

  #container(value: object): string {
    if (this.#path.length >= DEPTH_MAX) {
      this.#path.length = 0
      throw new TypeError(`body is nested deeper than ${DEPTH_MAX} levels, or contains itself.`)
    }
    if (Array.isArray(value) || isTypedArray(value)) return this.#list(value)
    const tag = Object.prototype.toString.call(value).slice('[object '.length, -1)
    return tag === 'Object' ? this.#object(value) : this.#refuse(`of type ${tag}; give a list or an object`)
  }

  // Iterates by index: holes are undefined, and a typed array need not be copied.
  #list(list: ArrayLike<unknown>): string {
    let text = '['
    for (let index = 0; index < list.length; index++) {
      if (index > 0) text += ','
      const item = list[index]
      // Fast path, because most values are numbers.
      text += typeof item === 'number' && Number.isFinite(item) ? item : this.#at(index, item)
    }
    return `${text}]`
  }

  #object(object: object): string {
    const members: string[] = []
    for (const [name, given] of Object.entries(object)) {
      this.#path.push(name)
      const value = this.#resolved(given)
      if (value !== undefined) members.push(`${JSON.stringify(name)}:${this.#written(value)}`)
      this.#path.pop()
    }
    return `{${members.join(',')}}`
  }

  #at(key: string | number, value: unknown): string {
    this.#path.push(key)
    const text = this.text(value)
    this.#path.pop()
    return text
  }

  #refuse(what: string): never {
    let place = 'body'
    for (const key of this.#path) {
      if (typeof key === 'string' && IDENTIFIER.test(key)) place += `.${key}`
      else place += `[${JSON.stringify(key)}]`
    }
    throw new TypeError(`${place} is ${what}.`)
  }
}

function isTypedArray(value: object): value is ArrayLike<number | bigint> & ArrayBufferView {
  return ArrayBuffer.isView(value) && !(value instanceof DataView)
}
