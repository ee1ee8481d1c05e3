// Generates a Kubernetes ConfigMap or Secret that contains a file, for `kubectl apply`.

/** Kind and names of the object. */
export interface FileManifestOptions {
  readonly kind: 'ConfigMap' | 'Secret'
  readonly name: string
  /** @default mosquitto */
  readonly namespace?: string
  /** Name of the file in the volume. @default password.txt */
  readonly key?: string
}

// Kubernetes' limit for the data of one object.
const DATA_BYTES_MAX = 1024 * 1024
const DNS_LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/
const KEY = /^[-._a-zA-Z0-9]{1,253}$/
// YAML 1.1, the version that kubectl uses, does not parse these words as strings.
const YAML_WORDS = new Set(['y', 'n', 'yes', 'no', 'on', 'off', 'true', 'false', 'null'])

/**
 * Returns a manifest that contains the file's text unchanged. @throws Error for a name or size that Kubernetes rejects
 */
export function fileManifest(text: string, options: FileManifestOptions): string {
  const { kind, name, namespace = 'mosquitto', key = 'password.txt' } = options
  checkNames(name, namespace, key)
  if (Buffer.byteLength(text) > DATA_BYTES_MAX) {
    throw new Error(
      `The file is larger than ${DATA_BYTES_MAX} bytes: a ${kind} cannot contain it. Put it on a volume.`,
    )
  }
  return [
    'apiVersion: v1',
    `kind: ${kind}`,
    'metadata:',
    `  name: ${scalar(name)}`,
    `  namespace: ${scalar(namespace)}`,
    ...(kind === 'Secret' ? ['type: Opaque'] : []),
    'data:',
    // The value is quoted, because base64 may consist of digits, which YAML would parse as a number.
    `  ${scalar(key)}: ${kind === 'Secret' ? `"${Buffer.from(text).toString('base64')}"` : blockScalar(text)}`,
    '',
  ].join('\n')
}

function checkNames(name: string, namespace: string, key: string): void {
  if (name.length > 253 || !name.split('.').every((label) => DNS_LABEL.test(label))) {
    throw new Error(
      `"${name}" cannot be the name of an object: use lower-case letters, digits, "-" and ".", for example mosquitto-password.`,
    )
  }
  if (!DNS_LABEL.test(namespace)) {
    throw new Error(`"${namespace}" cannot be a namespace: use lower-case letters, digits and "-".`)
  }
  if (!KEY.test(key) || key === '.' || key.startsWith('..')) {
    throw new Error(
      `"${key}" cannot be a key: use letters, digits, "-", "_" and ".", for example password.txt.`,
    )
  }
}

function scalar(text: string): string {
  return /^[a-z][a-z0-9._-]*$/.test(text) && !YAML_WORDS.has(text) ? text : JSON.stringify(text)
}

// Returns a literal block, indented by four spaces. Its chomping indicator preserves trailing line feeds.
function blockScalar(text: string): string {
  if (!isLiteral(text)) return quoted(text)
  const body = text.replace(/\n+$/, '')
  const feeds = text.length - body.length
  const chomping = feeds === 0 ? '-' : feeds === 1 ? '' : '+'
  const indented = body.split('\n').map((line) => (line === '' ? '' : `    ${line}`))
  // The line feed at the end of the manifest is also the last line feed of the text, so it is not written here.
  return `|${chomping}\n${indented.join('\n')}${'\n'.repeat(Math.max(0, feeds - 1))}`
}

// Whether YAML 1.1 and 1.2 preserve the text in a literal block: only LF line breaks, no unprintable character, and a
// first line that determines the indentation.
function isLiteral(text: string): boolean {
  return (
    /^[^\s]/.test(text) &&
    /^[\t\n\x20-\x7e\u00a0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\u{10000}-\u{10ffff}]*$/u.test(text)
  )
}

function quoted(text: string): string {
  return JSON.stringify(text).replaceAll(/[^\x20-\x7e]/gu, (character) => {
    const code = character.codePointAt(0)!
    const hex = code.toString(16)
    return code > 0xffff ? `\\U${hex.padStart(8, '0')}` : `\\u${hex.padStart(4, '0')}`
  })
}
