// Parses a Dockerfile and finds mistakes in it. Supports the instructions of this repository's Dockerfile.

/** An instruction, with its continuation lines. */
export interface Instruction {
  readonly name: string
  /** The text after the name, joined into one line. */
  readonly text: string
}

/** A stage: the instructions from one FROM to the next. */
export interface Stage {
  readonly base: string
  /** The name after `AS`; empty for the last stage. */
  readonly name: string
  readonly instructions: readonly Instruction[]
}

/** Splits a Dockerfile into its stages. @throws Error for an instruction before the first FROM */
export function readStages(text: string): Stage[] {
  const stages: (Stage & { readonly instructions: Instruction[] })[] = []
  for (const { name, text: rest } of instructionsOf(text)) {
    if (name === 'FROM') {
      const [base = '', , as = ''] = rest.replace(/^--platform=\$BUILDPLATFORM /, '').split(/\s+/)
      stages.push({ base, name: as, instructions: [] })
    } else if (stages.length === 0) {
      throw new Error(`${name} before FROM`)
    } else {
      stages.at(-1)!.instructions.push({ name, text: rest })
    }
  }
  return stages
}

function instructionsOf(text: string): Instruction[] {
  return text
    .replaceAll(/^#.*\n/gm, '')
    .replaceAll(/\\\n\s*/g, '')
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => {
      const [, name = '', rest = ''] = /^([A-Z]+)\s+(.*)$/.exec(line) ?? []
      return { name, text: rest }
    })
}

const KNOWN = new Set('FROM RUN COPY WORKDIR ENV LABEL USER EXPOSE STOPSIGNAL ENTRYPOINT CMD'.split(' '))

/** Returns the mistakes, one sentence each. */
export function dockerfileMistakes(text: string): string[] {
  const stages = readStages(text)
  const all = stages.flatMap(({ instructions }) => instructions)
  const last = stages.at(-1)?.instructions ?? []
  const user = last.findLast(({ name }) => name === 'USER')?.text ?? 'root'
  const wrong: [boolean, string][] = [
    ...all.map(({ name }): [boolean, string] => [!KNOWN.has(name), `${name} is not supported`]),
    ...stages.map(({ base }): [boolean, string] => [
      !/^[a-z0-9./-]+:[A-Za-z0-9_.-]*\d+\.\d+\.\d+[A-Za-z0-9_.-]*$/.test(base),
      `the base ${base} is not pinned to a version`,
    ]),
    [all.some(({ name }) => name === 'ADD'), 'ADD unpacks and downloads; use COPY'],
    [!/^[1-9]\d*:[1-9]\d*$/.test(user), `runs as "${user}"; use a numeric user and group, not 0`],
    [
      !last.some(({ name, text: rest }) => name === 'ENTRYPOINT' && rest.startsWith('[')),
      'has no ENTRYPOINT in exec form, so signals would reach a shell instead of the program',
    ],
    [
      all.some(({ name, text: rest }) => name === 'RUN' && /\b(?:curl|wget|sudo)\b/.test(rest)),
      'a RUN downloads files that the lock file does not list',
    ],
    [
      all.some(({ name, text: rest }) => name === 'RUN' && /npm (?:i|install)\b/.test(rest)),
      'a RUN ignores the lock file; use npm ci',
    ],
    [
      last.some(({ name, text: rest }) => name === 'COPY' && /^\.\/?\s/.test(rest)),
      'the last stage copies the whole context',
    ],
    [
      all.some(({ name, text: rest }) => /^(?:ENV|ARG)$/.test(name) && /password|token|secret/i.test(rest)),
      'a secret would be in a layer',
    ],
  ]
  return wrong.filter(([isWrong]) => isWrong).map(([, what]) => what)
}
