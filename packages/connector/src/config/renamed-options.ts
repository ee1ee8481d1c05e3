// Lists the renamed options. A former name is not an alias: it is rejected, and the message contains the new name.

/** An option that was renamed. */
export interface RenamedOption {
  /** Path of the section, with `*` for the name of a model: `models.*.credential`. */
  readonly section: string
  readonly before: string
  readonly now: string
  /** The value of `kind` in the section, if the new name depends on it. */
  readonly kind?: string
  /** Appended to the message if the option's values have changed too. */
  readonly remark?: string
}

/** Every renamed option. CHANGELOG.md lists them too, for upgrades. */
export const RENAMED_OPTIONS: readonly RenamedOption[] = [
  { section: 'models.*', before: 'protocol', now: 'protocolVersion' },
  { section: 'models.*', before: 'as', now: 'modelName' },
  { section: 'models.*.credential', before: 'file', now: 'tokenFile', kind: 'token-file' },
  { section: 'models.*.credential', before: 'file', now: 'valueFile', kind: 'static-header' },
  {
    section: 'broker',
    before: 'protocolVersion',
    now: 'mqttVersion',
    remark: '; its values are 5 and 3.1.1',
  },
]

/** Returns the option that was formerly named `key` in a section with this path and these values, or undefined. */
export function renamedOption(
  section: readonly PropertyKey[],
  key: string,
  values: unknown,
): RenamedOption | undefined {
  const path = section.map((part, index) => (index === 1 && section[0] === 'models' ? '*' : String(part)))
  const written = (values as { readonly kind?: unknown } | null | undefined)?.kind
  return RENAMED_OPTIONS.find(
    ({ before, section: name, kind = written }) =>
      before === key && name === path.join('.') && kind === written,
  )
}

/** Returns the message of the mistake: `"protocol" is now "protocolVersion"`. */
export function renamedMessage({ before, now, remark = '' }: RenamedOption): string {
  return `"${before}" is now "${now}"${remark}`
}
