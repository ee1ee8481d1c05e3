// Target: handles the text of a Mosquitto password file. Parsing must lose nothing, lint findings must not show
// passwords, and an edit must change only the given user.
import {
  deleteUser,
  hashPlainText,
  lintPasswordFile,
  parsePasswordFile,
  setUser,
  unhashableLines,
} from '@inferwire/mosquitto'
import { claim, shapeOf, tokens, words, type FuzzTarget } from '../target.ts'

const DIGEST = `${'A'.repeat(86)}==`
const HASH = `$7$101$${'B'.repeat(16)}$${DIGEST}`

/** Fuzzes the parser, linter and editor of password files. */
export const target: FuzzTarget = {
  name: 'password-file',
  seedInputs: tokens(
    `cam7:${HASH}\nline-1:$6$${'C'.repeat(16)}$${DIGEST}\n`,
    `# a comment\n#u:commented\n\n \nu:plain password \nu:${HASH}\nno colon\n`,
    `\ufeffcam7:${HASH}\r\na/b:${HASH}\r\n:${HASH}\n$SYS:x\n`,
    `a:$argon2id$v=19$m=47104,t=1,p=1$${'D'.repeat(22)}$${'E'.repeat(86)}\nb:${HASH}c:${HASH}`,
    'u:$7$10000001$x$y\nu:$7$0$$\nu:$6$a\nu:$7$$$$$\n',
  ),
  dictionary: [
    ...words(': :: # $6$ $7$ $7$101$ $argon2id$v=19$m=1,t=1,p=1$ = == + / u cam7 %u __proto__'),
    ...tokens(HASH, DIGEST, '\r', '\n', '\r\n', '\t', '\u0000', '\u001b[2J', '\u00a0', '\u2028', '\ufeff'),
    ...tokens([0xff], 'a'.repeat(256)),
  ],
  async run(input) {
    const text = input.toString('utf8')
    const { lines, users } = parsePasswordFile(text)
    claim(
      lines.map((line) => `${line.text}\n`).join('') ===
        (text === '' || text.endsWith('\n') ? text : `${text}\n`),
      'a line is lost',
    )
    const findings = lintPasswordFile(text)
    const secrets = lines.flatMap((line) => (line.kind === 'user' ? [line.secret] : []))
    // A secret that is also part of a user name is not hidden: it may be printed as the name.
    const hidden = new Set(
      secrets.slice(0, 20).filter((secret) => secret.length >= 12 && occursOnce(text, secret)),
    )
    for (const { line, message, remedy } of findings) {
      claim(
        line === undefined || (line >= 1 && line <= Math.max(1, lines.length)),
        'a finding refers to a line that does not exist',
      )
      claim(
        message !== '' && remedy !== '' && message.length < 600,
        'a finding has an empty text, or its message is too long',
      )
      for (const secret of hidden) claim(!message.includes(secret), 'a finding shows a password')
    }
    checkChanges(text, users)
    const isHashed = await checkHashing(text)
    const codes = [...new Set(findings.map(({ code }) => code))].toSorted().slice(0, 2)
    return shapeOf(`${Math.min(3, users.size)} ${codes.join()} ${isHashed}`)
  },
}

function occursOnce(text: string, part: string): boolean {
  return text.indexOf(part) === text.lastIndexOf(part)
}

function checkChanges(text: string, users: ReadonlyMap<string, unknown>): void {
  const changed = setUser(text, 'u', HASH)
  const after = parsePasswordFile(changed).users
  claim(after.has('u'), 'a user that was set is missing')
  claim(after.size === users.size + (users.has('u') ? 0 : 1), 'setting one user changed others')
  claim(setUser(changed, 'u', HASH) === changed, 'setting a user a second time changes the file')
  const without = deleteUser(changed, 'u')
  claim(without !== undefined && !parsePasswordFile(without).users.has('u'), 'a deleted user still exists')
  claim(deleteUser(without, 'u') === undefined, 'a user can be deleted twice')
}

async function checkHashing(text: string): Promise<boolean> {
  const unhashable = unhashableLines(text)
  const { text: hashed } = await hashPlainText(text, () => Promise.resolve(HASH))
  const { lines } = parsePasswordFile(hashed)
  claim(
    lines.every((line) => line.kind !== 'user' || line.hash !== 'plain_text'),
    'a password remains in plain text',
  )
  if (unhashable.length > 0) return false
  claim(
    lines.every((line) => line.kind !== 'user' || typeof line.hash !== 'string'),
    'a user without findings cannot log in',
  )
  return true
}
