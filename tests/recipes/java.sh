# shellcheck shell=sh
# needs: java javac
prepare() {
    runs /srv/app/service
    cat >Deploy.java <<'END'
import java.io.*;
import java.nio.file.*;

class Deploy {
    public static void main(String[] unused) throws Exception {
        try (var out = new FileOutputStream("/srv/app/service")) {
            out.write(Files.readAllBytes(Path.of("service")));
        }
        System.exit(new ProcessBuilder("./migrate", "once").start().waitFor());
    }
}
END
    is_written migrate
}

check() {
    is_new /srv/app/service
    old_lives
    logged '"outcome":"replaced"'
    logged '"event":"wait".*"outcome":"succeeded"'
}
